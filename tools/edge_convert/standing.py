"""Rows of a memory bank that stand for all the others, and the neighbours of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]

_ROUNDS: Final = 4
_SEED: Final = 33
_BLOCK: Final = 2_048


def standing_first(rows: Floats, size: int) -> Numbers:
    """An order of the rows (M×C) in which the first `size` stand for all.

    They are the rows nearest to the centres of k-means (a few rounds of Lloyd's algorithm): what makes the distance of
    an average row to the nearest of them small. The first choices of the greedy coreset make the largest distance
    small, which costs twice as many rows for the same use.
    """
    first = _near_centres(rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32), size)
    taken = np.zeros(len(rows), dtype=np.bool_)
    taken[first] = True
    taken[np.flatnonzero(~taken)[: size - len(first)]] = True
    return np.concatenate([np.flatnonzero(taken), np.flatnonzero(~taken)])


def _near_centres(rows: Floats, size: int) -> Numbers:
    draw = np.random.default_rng(_SEED)
    centres = rows[np.sort(draw.choice(len(rows), size, replace=False))]
    for _ in range(_ROUNDS):
        owner = _nearest(rows, centres)
        counts = np.bincount(owner, minlength=size)
        order = np.argsort(owner, kind="stable")
        filled = np.flatnonzero(counts)
        starts = np.concatenate([[0], np.cumsum(counts[filled])[:-1]])
        sums = np.add.reduceat(rows[order], starts, axis=0)
        centres[filled] = sums / counts[filled, None].astype(np.float32)
    return np.unique(_nearest(centres, rows))


def _nearest(points: Floats, targets: Floats) -> Numbers:
    """For each point the nearest target."""
    norms = np.einsum("ij,ij->i", targets, targets)
    return np.concatenate(
        [np.argmin(norms - 2 * (points[at : at + _BLOCK] @ targets.T), axis=1) for at in range(0, len(points), _BLOCK)]
    )


def neighbours_of(rows: Floats, first: int, count: int) -> npt.NDArray[np.int32]:
    """For each of the first rows the `count` nearest of all (M×C), itself first: first×count."""
    centred = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    norms = np.einsum("ij,ij->i", centred, centred)
    found = np.empty((first, count), dtype=np.int32)
    for start in range(0, first, _BLOCK):
        end = min(start + _BLOCK, first)
        squared = norms - 2 * (centred[start:end] @ centred.T)
        squared[np.arange(end - start), np.arange(start, end)] = -np.inf
        nearest = np.argpartition(squared, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(squared, nearest, axis=1), axis=1, kind="stable")
        found[start:end] = np.take_along_axis(nearest, order, axis=1)
    return found
