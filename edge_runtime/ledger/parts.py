"""Which part is the newest, when verdicts are committed slightly out of order and the count wraps."""

from __future__ import annotations

REORDER_PARTS = 256
"""A verdict on a part so far behind the newest is a late one; further behind, the PLC has begun to count anew."""
_WRAP = 2**32


def newest_part(newest: int, committed: int) -> int:
    """The part number to go on from, after `committed` followed `newest` (0: none yet)."""
    if newest == 0:
        return committed
    behind = (newest - committed) % _WRAP
    return newest if behind < REORDER_PARTS else committed
