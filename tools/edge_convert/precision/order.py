"""The order of good parts and defects, which is what an AUROC counts: how much of it rounding puts at risk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]

FEWEST_GOOD: Final = 8
"""Fewer good parts have no spread to measure anything by."""
SWAPPED_LIMIT: Final = 0.015
"""On printed circuit boards, whose defects a PatchCore hardly tells from good parts, 2.9 % go with image AUROCs that
move by 0.3 to 0.8 points to either side from seed to seed, 2.1 % with 0.0 to 0.25, and 1.4 % with 0.04 at most."""
_FAR: Final = 10
"""A defect that lies so many times the good parts' own range beyond them says nothing of the rounding near them: that
of a square or an exponential grows with the score. A CS-Flow gives good parts 0.6 and a planted defect 10¹³; the
latter's rounding, taken for that of all, put 46.9 % of the pairs at risk where all others moved by less than 0.0001."""
_normal_cdf = np.vectorize(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))), otypes=[np.float64])


def expected_swaps(exact_good: Scores, exact_defects: Scores, good: Scores, defects: Scores) -> float | None:
    """Share of the pairs of a good part and a defect that rounding is to be expected to put in another order.

    Counting swaps among a few pairs is chance; their expectation under rounding of this size is not.

    Args:
        exact_good: scores of good parts in float32, shape [G].
        exact_defects: scores of defects in float32, shape [D].
        good: the same parts on the candidate, [G].
        defects: the same defects on the candidate, [D].

    Returns:
        0 to 0.5, infinity where a score is no number; None where there are too few parts to say.
    """
    if good.size < FEWEST_GOOD or not defects.size:
        return None
    moved_good, moved_defects = good - exact_good, defects - exact_defects
    if not (np.isfinite(moved_good).all() and np.isfinite(moved_defects).all()):
        return float("inf")
    lowest, highest = float(exact_good.min()), float(exact_good.max())
    beyond = np.maximum(exact_defects - highest, lowest - exact_defects)
    far = beyond > _FAR * (highest - lowest)
    noise = float(np.sqrt(np.mean(np.concatenate([moved_good, moved_defects[~far]]) ** 2)))
    # A far one may still be thrown among the good parts, by rounding of its own size.
    noise_of_defects = np.where(far, np.maximum(np.abs(moved_defects), noise), noise)
    apart = np.abs(exact_defects[:, np.newaxis] - exact_good)
    together = np.hypot(noise_of_defects, noise)[:, np.newaxis]
    if not together.any():
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(np.where(together > 0, _normal_cdf(-apart / together), 0.0)))
