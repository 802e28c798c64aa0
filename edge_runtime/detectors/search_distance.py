"""The distance that every PatchCore verdict rests on, defined to the bit, and the bounds of its rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]

ROUNDING: Final = 2.0**-17
"""Relative error that the float32 distance may have against the real one.

A difference, its square and the steps of a pairwise sum round by 2⁻²⁴ each: 3 + 16 + 3 + log₂(C / 128) of them (NumPy
sums blocks of 128 in eight lanes and adds the blocks in pairs). 2⁻¹⁷ covers 128 such steps."""
UNDERFLOW: Final = 1e-36
"""Absolute error of a squared distance whose smallest terms vanish: C · 2⁻¹⁴⁹, with room."""
_CHUNK_VALUES: Final = 1 << 18
"""A megabyte: what a core's own cache holds between the steps."""


def squared_distances(patch: Floats, rows: Floats) -> Floats:
    """|patch − row|² in float32: differences, their squares, NumPy's pairwise sum over the channels.

    The order of the sum depends on the number of channels alone, so the value is the same bits whichever other rows are
    asked for in the same call, and on every machine.

    Args:
        patch: C, or N×C for one patch per row; finite.
        rows: N×C, C-contiguous float32, finite.

    Returns:
        N. Infinite where it is beyond float32.
    """
    with np.errstate(over="ignore", under="ignore"):
        return _squared(np.subtract(rows, patch))


def squared_distances_at(patch: Floats, rows: Floats, numbers: Numbers) -> Floats:
    """`squared_distances` to `rows[numbers]`: the same bits, without a second copy of those rows."""
    with np.errstate(over="ignore", under="ignore"):
        taken = rows[numbers]
        return _squared(np.subtract(taken, patch, out=taken))


def _squared(difference: Floats) -> Floats:
    np.square(difference, out=difference)
    total: Floats = difference.sum(axis=1)
    return total


def nearest(patch: Floats, rows: Floats, among: Numbers | None = None) -> tuple[np.float32, int]:
    """Squared distance to the nearest of the rows (M×C), and which it is; of equal ones the first.

    Args:
        patch: C.
        rows: all rows.
        among: which of them, ascending, at least one; None: all.
    """
    count = len(rows) if among is None else len(among)
    best, where = np.float32(np.inf), 0 if among is None else int(among[0])
    chunk = max(1, _CHUNK_VALUES // rows.shape[1])
    for start in range(0, count, chunk):
        end = start + chunk
        if among is None:
            found = squared_distances(patch, rows[start:end])
        else:
            found = squared_distances_at(patch, rows, among[start:end])
        at = int(np.argmin(found))
        if found[at] < best:
            best, where = found[at], start + at if among is None else int(among[start + at])
    return best, where


def brute_force(patches: Floats, rows: Floats) -> tuple[Floats, Numbers]:
    """Every patch (P×C) against every row (M×C): the reference that any search has to equal.

    Returns:
        Squared distances P, and the number of the nearest row P.
    """
    found = [nearest(patch, rows) for patch in patches]
    return np.array([value for value, _ in found], dtype=np.float32), np.array([at for _, at in found], dtype=np.intp)


def farthest_below(squared: np.float32) -> float:
    """A real distance above which no row can have a float32 squared distance of `squared` or less."""
    return float(np.sqrt((float(squared) + UNDERFLOW) / (1.0 - ROUNDING)))


def lengths(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """|row| of N×C, in float64 and never too short."""
    wide = rows.astype(np.float64, copy=False)
    found: npt.NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", wide, wide)) * (1.0 + 1e-9) + 1e-30
    return found
