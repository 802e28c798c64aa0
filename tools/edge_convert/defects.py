"""Synthetic defects on images of good parts: for calibration, for the INT8 check and for golden images.

They need not look like the real ones. They have to drive the network's activations to where a real defect would, which
good images never do (INT8 ranges taken from good images alone clip exactly the anomalies).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure

    Pixels = npt.NDArray[np.float32]


def plant_defect(image: Exposure, seed: int, kind: int, region: tuple[int, int, int, int] | None = None) -> Exposure:
    """The image with one planted defect; same arguments, same pixels.

    Args:
        image: H×W or H×W×3, uint8 or uint16.
        seed: place, size and strength.
        kind: which of `KINDS`, counted round.
        region: x, y, width, height inside which it is planted; None is the whole image.
    """
    draw = np.random.default_rng((seed, kind))
    x, y, width, height = region or (0, 0, image.shape[1], image.shape[0])
    full_scale = np.iinfo(image.dtype).max
    pixels: Pixels = image[y : y + height, x : x + width].astype(np.float32) / np.float32(full_scale)
    damaged = KINDS[kind % len(KINDS)](pixels, draw)
    result = image.copy()
    result[y : y + height, x : x + width] = np.rint(np.clip(damaged, 0, 1) * full_scale).astype(image.dtype)
    result.flags.writeable = False
    return result


def _box(shape: tuple[int, ...], draw: np.random.Generator, low: float, high: float) -> tuple[slice, slice]:
    height, width = (max(4, int(side * draw.uniform(low, high))) for side in shape[:2])
    top = int(draw.integers(0, max(1, shape[0] - height)))
    left = int(draw.integers(0, max(1, shape[1] - width)))
    return slice(top, top + height), slice(left, left + width)


def _central(shape: tuple[int, ...], draw: np.random.Generator) -> tuple[int, int]:
    """A point in the middle of the frame, where the part usually is."""
    return int(shape[1] * draw.uniform(0.3, 0.7)), int(shape[0] * draw.uniform(0.3, 0.7))


def _colour(pixels: Pixels, draw: np.random.Generator) -> Any:
    return draw.uniform(0, 1, pixels.shape[2]) if pixels.ndim == 3 else draw.uniform(0, 1)  # noqa: PLR2004  (colour)


def _blend(pixels: Pixels, mask: npt.NDArray[Any], colour: Any) -> Pixels:
    weight = mask.astype(np.float32)
    if pixels.ndim == 3:  # noqa: PLR2004  (colour)
        weight = weight[:, :, np.newaxis]
    return np.asarray(pixels * (1 - weight) + np.asarray(colour, dtype=np.float32) * weight, dtype=np.float32)


def _cut_paste(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    rows, columns = _box(pixels.shape, draw, 0.08, 0.25)
    patch = pixels[rows, columns]
    patch = np.rot90(patch, int(draw.integers(1, 4))) if patch.shape[0] == patch.shape[1] else patch[::-1, ::-1]
    patch = np.clip(patch * draw.uniform(0.5, 1.5), 0, 1)
    x, y = _central(pixels.shape, draw)
    result = pixels.copy()
    top = min(y, pixels.shape[0] - patch.shape[0])
    left = min(x, pixels.shape[1] - patch.shape[1])
    result[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return result


def _scratch(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    mask = np.zeros(pixels.shape[:2], dtype=np.uint8)
    side = min(pixels.shape[:2])
    points = np.cumsum(
        [_central(pixels.shape, draw), *draw.normal(0, side * 0.08, (int(draw.integers(3, 7)), 2))], axis=0
    )
    thickness = max(1, int(side * draw.uniform(0.005, 0.02)))
    cv2.polylines(mask, [np.rint(points).astype(np.int32)], isClosed=False, color=255, thickness=thickness)
    return _blend(pixels, mask / 255, _colour(pixels, draw))


def _blob(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    mask = np.zeros(pixels.shape[:2], dtype=np.uint8)
    side = min(pixels.shape[:2])
    axes = tuple(max(2, int(side * draw.uniform(0.03, 0.12))) for _ in range(2))
    cv2.ellipse(mask, _central(pixels.shape, draw), axes, float(draw.uniform(0, 180)), 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.5, side * 0.005)) / 255
    return _blend(pixels, soft * draw.uniform(0.6, 1), _colour(pixels, draw))


def _noise(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    rows, columns = _box(pixels.shape, draw, 0.2, 0.5)
    result = pixels.copy()
    part = result[rows, columns]
    result[rows, columns] = part + draw.normal(0, draw.uniform(0.1, 0.35), part.shape)
    return result


def _brightness(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    gain = draw.uniform(1.4, 2.2) if draw.random() < 0.5 else draw.uniform(0.2, 0.6)  # noqa: PLR2004  (a fair coin)
    return np.asarray(pixels * np.float32(gain), dtype=np.float32)


KINDS: Final[tuple[Callable[[Pixels, np.random.Generator], Pixels], ...]] = (
    _cut_paste,
    _scratch,
    _blob,
    _noise,
    _brightness,
)
LOCAL_KINDS: Final = 3
"""The first so many kinds are local marks, which a detector must see; the others change the picture as a whole."""
