"""What became of the last parts: whether faults come often, and how many parts in a row got no sound score."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_runtime.domain.verdict import Verdict

WINDOW_NS: Final = 10_000_000_000
OFTEN: Final = 3
"""So many parts with one kind of fault within the window are more than a mishap."""
IN_A_ROW: Final = 5
"""So many parts in a row without a sound score mean that the line judges nothing."""
IMAGE_FAULTS: Final = frozenset({Reason.IMAGE_CORRUPT, Reason.IMAGE_UNEXPECTED})


class RecentVerdicts:
    """Written by the dispatch stage alone; readable from any thread."""

    def __init__(self) -> None:
        self._instants_ns: dict[Reason, deque[int]] = {reason: deque(maxlen=OFTEN) for reason in Reason}
        self._unsound_ns: deque[int] = deque(maxlen=IN_A_ROW)

    def add(self, verdict: Verdict) -> None:
        """Remember one."""
        if not verdict.reason.is_fault:
            self._unsound_ns.clear()
            return
        self._instants_ns[verdict.reason].append(verdict.decided_ns)
        self._unsound_ns.append(verdict.decided_ns)

    def is_frequent(self, reasons: Iterable[Reason], now_ns: int) -> bool:
        """At least `OFTEN` verdicts with one of these reasons within the window."""
        instants = [at_ns for reason in reasons for at_ns in self._instants_ns[reason].copy()]
        return sum(now_ns - at_ns <= WINDOW_NS for at_ns in instants) >= OFTEN

    def judges_nothing(self, now_ns: int) -> bool:
        """The last `IN_A_ROW` parts got no sound score, the newest of them within the window."""
        instants = self._unsound_ns.copy()
        return len(instants) == IN_A_ROW and now_ns - instants[-1] <= WINDOW_NS
