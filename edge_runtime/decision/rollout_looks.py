"""When two reject rates are compared, and how sure one has to be at each look.

Whoever tests at p < 0.01 after every part finds a difference sooner or later although there is none: of 2 000
simulated pairs of equal models (they differ on 4 % of the parts, in either direction) 137 were told apart within 4 096
parts, seven times as many as 0.01 promises. Here the 0.01 is spent: looks come at fixed counts, each has its share,
and the shares add up to no more than the whole (Bonferroni). So a candidate that is as good as the active model is
rolled back by this test with probability 0.01 at most, however long it is watched; of the same 2 000 pairs none was.
"""

from __future__ import annotations

from typing import Final

FIRST_LOOK: Final = 16
"""Parts; then after 32, 64, 128, …"""


def level_at(parts: int, wanted: int, alpha: float) -> float | None:
    """The p below which the rates count as different at this count of parts; None: no look is due.

    Half of `alpha` is for the look at `wanted`, where the stage is decided. The other half is for those that come
    earlier and later, each with half of what the one before it had: what is plainly wrong is found after few parts.

    Args:
        parts: of the candidate, counted one by one.
        wanted: how many the stage asks for.
        alpha: for all looks together.
    """
    if parts == wanted:
        return alpha / 2
    if parts < FIRST_LOOK or parts % FIRST_LOOK:
        return None
    turn = parts // FIRST_LOOK
    if turn & (turn - 1):
        return None
    return float(alpha / 2 * 0.5 ** turn.bit_length())
