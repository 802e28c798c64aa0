"""Which part to inspect next when more wait than there is time for. Pure: deadlines and durations are arguments."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_REMEMBERED: Final = 16
_QUANTILE: Final = 0.9
"""One outlier among the remembered ones does not make the machine slow."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do with the parts that wait; positions count from the oldest, 0."""

    inspect: int | None
    """None: no part has time left."""
    give_up: tuple[int, ...]
    """Parts that cannot be finished in time any more, ascending; never the one to inspect."""


def choose(deadlines_ns: Sequence[int], now_ns: int, duration_ns: int, others_free_ns: Sequence[int] = ()) -> Choice:
    """The oldest part while all can be finished in turn; otherwise the newest.

    In the order of arrival an overloaded line would inspect every part just too late, and judge none. The newest part
    has the most time left, so that as many get a sound verdict as the machine can give.

    The newest is inspected even if it is expected to be late: what is expected could be wrong, and would never be
    corrected.

    Args:
        deadlines_ns: of the parts that wait, oldest first.
        now_ns: monotonic.
        duration_ns: how long one inspection is expected to take.
        others_free_ns: for each of the others that inspect parts beside this one: from when on it has room for one.
    """
    alive = [place for place, deadline_ns in enumerate(deadlines_ns) if now_ns <= deadline_ns]
    gone = tuple(place for place in range(len(deadlines_ns)) if place not in set(alive))
    if not alive:
        return Choice(None, gone)
    if _all_in_turn([deadlines_ns[place] for place in alive], duration_ns, [now_ns, *others_free_ns]):
        return Choice(alive[0], gone)
    newest = alive[-1]
    next_ns = min((now_ns + duration_ns, *others_free_ns)) + duration_ns
    hopeless = (place for place in alive[:-1] if next_ns > deadlines_ns[place])
    return Choice(newest, tuple(sorted((*gone, *hopeless))))


def _all_in_turn(deadlines_ns: Sequence[int], duration_ns: int, free_ns: list[int]) -> bool:
    """Whether all are finished in time, each by whoever has room first."""
    heapq.heapify(free_ns)
    return all(heapq.heapreplace(free_ns, free_ns[0] + duration_ns) + duration_ns <= end for end in deadlines_ns)


class Durations:
    """How long inspections took lately, and so how long the next one is expected to take."""

    def __init__(self) -> None:
        self._recent_ns: deque[int] = deque(maxlen=_REMEMBERED)

    def add(self, duration_ns: int) -> None:
        """Remember one."""
        self._recent_ns.append(duration_ns)

    def doubt(self) -> None:
        """Something was left undone because it was expected to take too long: the oldest is forgotten.

        What is expected could be wrong, and nothing that is left undone corrects it: in the end it is tried again.
        """
        if self._recent_ns:
            self._recent_ns.popleft()

    @property
    def expected_ns(self) -> int:
        """The 90th percentile of the last 16; 0 before the first."""
        if not self._recent_ns:
            return 0
        ordered = sorted(self._recent_ns)
        return ordered[int(_QUANTILE * (len(ordered) - 1))]
