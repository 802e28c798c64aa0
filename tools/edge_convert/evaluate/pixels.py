"""Pixel-level figures over any number of images in bounded memory. Pure.

Scores are counted in 2²² bins: the upper 22 bits of the float32 in its ordered form, so a bin is at most 1.2·10⁻⁴ of
its value wide, whatever the range, and no first pass is needed to find one. Within a bin the order is unknown; both
figures are areas under monotone curves, so the exact area differs by at most half of the bins' rectangles. That bound
is computed with each figure rather than promised. Three histograms take 96 MiB, plus stripes of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_runtime.domain.inspection import AnomalyMap

Mask: TypeAlias = npt.NDArray[np.bool_]
Counts: TypeAlias = npt.NDArray[np.float64]

_BIN_BITS = 22
_SHIFT = np.uint32(32 - _BIN_BITS)
_STRIPE_PX = 1 << 20
"""Pixels counted at a time: the temporary arrays of a 20-megapixel image would not fit beside the model otherwise."""


@dataclass(frozen=True, slots=True)
class BoundedFigure:
    """A figure and how far the exact value may lie from it."""

    value: float
    """0…1."""
    error_bound: float
    """Largest possible |value − exact value|, from the counts themselves."""


class PixelTally:
    """Adds up images and gives `pixel_auroc` and `aupro` over all of them. One thread at a time."""

    def __init__(self) -> None:
        self._normal = np.zeros(1 << _BIN_BITS, np.int64)
        self._defect = np.zeros(1 << _BIN_BITS, np.int64)
        # A pixel of a region of n pixels weighs 1/n: the sum over regions of their overlap needs no region to be kept.
        self._overlap = np.zeros(1 << _BIN_BITS, np.float64)
        self._regions = 0
        self._images = 0

    @property
    def images(self) -> int:
        """How many images were added."""
        return self._images

    @property
    def regions(self) -> int:
        """How many connected defect regions they had."""
        return self._regions

    def add(self, scores: AnomalyMap, mask: Mask, ignore: Mask | None = None) -> None:
        """Count one image.

        Args:
            scores: H×W float32; −inf where the model does not look, so that a defect there is never found.
            mask: H×W, true on defects.
            ignore: H×W, true on normal pixels that do not count (outside the inspected region).

        Raises:
            ValueError: the sizes differ, or a score is NaN. Nothing has been counted then.
        """
        if scores.shape != mask.shape or (ignore is not None and ignore.shape != mask.shape):
            message = f"scores {scores.shape} and mask {mask.shape} must have the same size"
            raise ValueError(message)
        if np.isnan(scores).any():
            message = "the anomaly map holds NaN"
            raise ValueError(message)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        weights = 1.0 / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
        step = max(1, _STRIPE_PX // max(mask.shape[1], 1))
        for top in range(0, mask.shape[0], step):
            rows = slice(top, top + step)
            bins, defect = _bins(scores[rows]), mask[rows]
            normal = ~defect if ignore is None else ~(defect | ignore[rows])
            _accumulate(self._normal, bins[normal])
            _accumulate(self._defect, bins[defect])
            _accumulate(self._overlap, bins[defect], weights[labels[rows][defect]])
        self._regions += count - 1
        self._images += 1

    def pixel_auroc(self) -> BoundedFigure | None:
        """AUROC over all counted pixels, each pixel one case; None unless both kinds of pixels were seen."""
        normal, defect = self._used(self._normal, self._defect)
        if normal.sum() == 0 or defect.sum() == 0:
            return None
        return _area(normal / normal.sum(), defect / defect.sum(), 1.0)

    def aupro(self, fpr_limit: float) -> BoundedFigure | None:
        """Area under the per-region-overlap curve up to `fpr_limit`, divided by it; None without regions.

        Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 129 (2021), section 4.2: PRO(t) is the mean over
        all connected regions (8-neighbourhood, as in the authors' code) of the share of the region at or above t;
        FPR(t) counts the normal pixels of all images. Trapezoids, interpolated at the limit.
        """
        if not 0 < fpr_limit <= 1:
            message = f"the FPR limit must be in (0, 1], got {fpr_limit}"
            raise ValueError(message)
        normal, overlap = self._used(self._normal, self._overlap)
        if normal.sum() == 0 or self._regions == 0:
            return None
        return _area(normal / normal.sum(), overlap / self._regions, fpr_limit)

    def _used(self, normal: npt.NDArray[np.int64], gain: npt.NDArray[np.int64] | Counts) -> tuple[Counts, Counts]:
        """The bins that hold anything, highest score first."""
        used = np.flatnonzero((normal > 0) | (gain > 0))[::-1]
        return normal[used].astype(np.float64), gain[used].astype(np.float64)


def _bins(scores: AnomalyMap) -> npt.NDArray[np.int64]:
    """Bin of each score, ascending with it (−0 counts as 0)."""
    bits = (scores.astype(np.float32, copy=False) + np.float32(0.0)).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    ordered = np.where(negative, ~bits, bits | np.uint32(0x80000000))
    return (ordered >> _SHIFT).astype(np.int64)


def _accumulate(
    histogram: npt.NDArray[np.int64] | Counts, bins: npt.NDArray[np.int64], weights: Counts | None = None
) -> None:
    """Add the bins to the histogram, touching only the span that they cover."""
    if bins.size == 0:
        return
    first = int(bins.min())
    counted = np.bincount(bins - first, weights)
    histogram[first : first + counted.size] += counted


def _area(width: Counts, height: Counts, limit: float) -> BoundedFigure:
    """Normalised area under the curve through the cumulated (width, height) up to x = limit, and its bound.

    A bin is a rectangle that the exact curve crosses monotonically from corner to corner; the trapezoid halves it. The
    bin that holds the limit is cut there: its exact height at the cut is unknown, so its whole rectangle counts.
    """
    right, top = np.cumsum(width), np.cumsum(height)
    left, bottom = right - width, top - height
    inside = right <= limit
    area = float(np.sum(width[inside] * (bottom + top)[inside]) / 2)
    slack = float(np.sum(width[inside] * height[inside]) / 2)
    crossing = np.flatnonzero(~inside & (left < limit))
    if crossing.size:
        at = int(crossing[0])
        reach = limit - left[at]
        area += float(reach * (bottom[at] + height[at] * reach / width[at] / 2))
        slack += float(reach * height[at])
    return BoundedFigure(min(area / limit, 1.0), slack / limit)
