"""PatchCore's reweighting of the score (arXiv 2106.08265, equation 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.search_distance import squared_distances

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]


def reweighted(squared: np.float32, patch: Floats, support: Floats) -> float:
    """Give w · d, where w = 1 − exp(d) / Σ exp(|patch − row|) over the nearest row and its neighbours in the bank.

    A patch that is near several rows keeps less of its distance than one that only a lonely row comes close to.

    Args:
        squared: d², the squared distance to the nearest row.
        patch: the deciding patch, C.
        support: N×C, the nearest row first, then its neighbours.

    Returns:
        NaN or infinite where the distance is.
    """
    distance = float(np.sqrt(squared))
    if not np.isfinite(distance):
        return distance
    distances = np.sqrt(squared_distances(patch, support).astype(np.float64))
    with np.errstate(over="ignore", under="ignore"):
        return distance * (1.0 - 1.0 / float(np.exp(distances - distance).sum()))
