"""The search: as few operations in higher precision as parity allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_convert.precision.choice import Judgement
    from edge_convert.precision.sensitivity import Span


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was left in float32, and what came of it."""

    spans: tuple[Span, ...]
    judgement: Judgement

    @property
    def nodes(self) -> frozenset[str]:
        """All nodes of the spans."""
        return frozenset(name for span in self.spans for name in span.nodes)

    @property
    def badness(self) -> float:
        """NaN is as bad as can be."""
        return math.inf if math.isnan(self.judgement.badness) else self.judgement.badness


class Budget:
    """So many judgements and no more."""

    def __init__(self, judgements: int) -> None:
        self.left = judgements


def restore_and_give_back(
    first: Attempt,
    spans: Sequence[Span],
    judge: Callable[[tuple[Span, ...]], Judgement],
    budget: Budget,
) -> Attempt:
    """Restore the costliest operations until parity holds, then give back what was restored needlessly.

    Groups grow by doubling; the smallest sufficient one is found by bisection; of that one halves, quarters and at last
    single operations are quantized again where parity bears it. Nothing assumes that more float32 is always better:
    what is returned was judged as it is.

    Args:
        first: everything quantized, which does not hold.
        spans: all operations, costliest first.
        judge: judges the graph with these spans in float32; called while `budget` lasts.
        budget: shared with whoever else judges.

    Returns:
        A holding attempt, or the least bad one where none was found. Restoring everything is never tried: that is no
        INT8.
    """

    def attempt(kept: Sequence[Span]) -> Attempt:
        budget.left -= 1
        return Attempt(tuple(kept), judge(tuple(kept)))

    least_bad, failing, count = first, 0, 1
    while budget.left > 0 and count < len(spans):
        found = attempt(spans[:count])
        if found.judgement.holds:
            smallest = _bisect(found, failing, spans, attempt, budget)
            return _give_back(smallest, attempt, budget)
        least_bad = min(least_bad, found, key=lambda item: item.badness)
        failing, count = count, _more(count, len(spans))
    return least_bad


def _more(count: int, all_of_them: int) -> int:
    """Twice as many, later half of the rest; beyond seven eighths it is hardly INT8 any more."""
    more = min(2 * count, (count + all_of_them) // 2)
    return more if count < more <= all_of_them - all_of_them // 8 else all_of_them


def _bisect(
    holding: Attempt,
    failing: int,
    spans: Sequence[Span],
    attempt: Callable[[Sequence[Span]], Attempt],
    budget: Budget,
) -> Attempt:
    while len(holding.spans) - failing > 1 and budget.left > 0:
        middle = (failing + len(holding.spans)) // 2
        found = attempt(spans[:middle])
        if found.judgement.holds:
            holding = found
        else:
            failing = middle
    return holding


def _give_back(holding: Attempt, attempt: Callable[[Sequence[Span]], Attempt], budget: Budget) -> Attempt:
    size = len(holding.spans) // 2
    while size > 0:
        # From the least costly on; the last one is what made parity hold, so it is asked for last.
        end = len(holding.spans) - 1
        while end > 0 and budget.left > 0:
            start = max(0, end - size)
            found = attempt([*holding.spans[:start], *holding.spans[end:]])
            if found.judgement.holds:
                holding = found
            end = start
        size //= 2
    return holding
