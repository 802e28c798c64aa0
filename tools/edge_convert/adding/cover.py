"""Which patches of new parts a memory bank lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.search_graph import bank_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edge_convert.search_graph import SearchBank

    Floats = npt.NDArray[np.float32]

_FOLDS: Final = 5
_SHRINK_EVERY: Final = 8
"""Choices after which the patches that are covered by now are no longer looked at."""


def uncovered(parts: Sequence[Floats], bank: SearchBank, radius: float, most: int) -> Floats:
    """The patches that bring every patch of the parts within `radius` of the bank.

    The greedy k-centre choice of arXiv 2106.08265, section 3.2, continued: the farthest patch is added, until none is
    farther than `radius`.

    Args:
        parts: patches of each part, P×C.
        bank: what is remembered already.
        radius: > 0.
        most: no more than so many, even if some stay farther.

    Returns:
        N×C, in order of choice.
    """
    rows = np.concatenate(parts) if parts else np.empty((0, bank.channels), dtype=np.float32)
    left = bank.distances(rows) if len(rows) else np.empty(0, dtype=np.float32)
    far = left > radius
    rows, left = rows[far], left[far]
    chosen: list[Floats] = []
    while len(chosen) < most and len(rows):
        farthest = int(np.argmax(left))
        if left[farthest] <= radius:
            break
        chosen.append(rows[farthest])
        left = np.minimum(left, distances_to(rows, rows[farthest : farthest + 1]))
        left[farthest] = 0
        if len(chosen) % _SHRINK_EVERY == 0:
            far = left > radius
            rows, left = rows[far], left[far]
    return np.stack(chosen) if chosen else np.empty((0, bank.channels), dtype=np.float32)


def distances_to(rows: Floats, centres: Floats) -> Floats:
    """Distance of each row (N×C) to the nearest of the centres (M×C); infinite where there are none."""
    if not len(centres):
        return np.full(len(rows), np.inf, dtype=np.float32)
    return bank_of(centres).distances(rows)


def scores_without_themselves(parts: Sequence[Floats], bank: SearchBank, radius: float, most: int) -> list[float]:
    """What each part would score if only the others had been added: its answer as a part not yet seen.

    One at a time up to five parts, in five groups beyond.
    """
    scores = [0.0] * len(parts)
    folds = min(len(parts), _FOLDS)
    for fold in range(folds):
        held = range(fold, len(parts), folds)
        others = [part for number, part in enumerate(parts) if number % folds != fold]
        added = uncovered(others, bank, radius, most)
        for number in held:
            nearest = np.minimum(bank.distances(parts[number]), distances_to(parts[number], added))
            scores[number] = float(nearest.max())
    return scores
