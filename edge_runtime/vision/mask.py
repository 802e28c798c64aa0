"""Where a frame is inspected, and where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

Mask: TypeAlias = npt.NDArray[np.bool_]
"""H×W, true where something is inspected."""

_ASPECT_TOLERANCE = 0.01


def same_proportions(frame_px: tuple[int, int], mask_px: tuple[int, int]) -> bool:
    """True if a mask of this (height, width) can belong to the frame: the same shape within 1 %, at any scale."""
    return abs(frame_px[0] * mask_px[1] / (frame_px[1] * mask_px[0]) - 1) <= _ASPECT_TOLERANCE


def fit_mask(mask: Mask, height: int, width: int) -> Mask:
    """The mask in other pixels: true where the new pixel shares any area with an inspected one, at any scale."""
    if mask.shape == (height, width):
        return mask
    rows_from, rows_to = _edges(mask.shape[0], height)
    columns_from, columns_to = _edges(mask.shape[1], width)
    counts = cv2.integral(mask.astype(np.uint8))
    upper, lower = counts[rows_from], counts[rows_to]
    inside = lower[:, columns_to] - lower[:, columns_from] - upper[:, columns_to] + upper[:, columns_from]
    return np.asarray(inside > 0, dtype=np.bool_)


def paint_out(exposure: Exposure, mask: Mask) -> Exposure:
    """The picture with mid-grey where the mask is false, so that nothing there can reach a network.

    A network sees far beyond a patch: what moves outside the mask would change the features within it. Mid-grey is near
    the mean that a backbone's normalisation subtracts, so it is close to the zeros with which convolutions pad.

    Args:
        exposure: H×W or H×W×3.
        mask: H×W.
    """
    painted = np.full(exposure.shape, np.iinfo(exposure.dtype).max // 2 + 1, dtype=exposure.dtype)
    cv2.copyTo(np.ascontiguousarray(exposure), np.ascontiguousarray(mask).view(np.uint8), painted)
    painted.flags.writeable = False
    return painted


def _edges(length: int, parts: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First pixel, and one behind the last, that each part touches."""
    index = np.arange(parts)
    return index * length // parts, -(-(index + 1) * length // parts)
