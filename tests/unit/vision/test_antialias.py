from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edge_runtime.vision.antialias import resize_antialiased

PILLOW_13_BILINEAR = {
    (480, 640, 3, 256, 256): "33454dae19d27d0d3caaecb47ba4daf7",
    (300, 300, 1, 256, 256): "91d5962bea3b5dedfb89c97012118258",
    (97, 131, 3, 64, 32): "4d6301bb7545db425954e90ef5b709b8",
    (50, 40, 1, 75, 90): "3b49607fb125337eeb44a4db6e40109c",
}
"""Height, width, channels, new height, new width → first half of the SHA-256 of Pillow 13.0's pixels."""


def picture(height: int, width: int, channels: int) -> np.ndarray:
    """The picture that Pillow was given: steep, unsymmetric, over the whole range."""
    y, x = np.mgrid[:height, :width]
    planes = np.stack([(x * x * (k + 1) + y * 13 + x * y) % 256 for k in range(channels)], -1).astype(np.uint8)
    return planes[..., 0] if channels == 1 else planes


@pytest.mark.parametrize("case", PILLOW_13_BILINEAR, ids=str)
def test_pixels_are_pillows(case: tuple[int, int, int, int, int]) -> None:
    """Bit for bit what Pillow's bilinear resize gives: shrinking, enlarging, mono and colour."""
    height, width, channels, new_height, new_width = case
    resized = resize_antialiased(picture(height, width, channels), new_height, new_width)
    digest = hashlib.sha256(np.ascontiguousarray(resized).tobytes()).hexdigest()
    assert digest[:32] == PILLOW_13_BILINEAR[case]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_flat_picture_stays_flat(dtype: type) -> None:
    """Weights add up to one, also at the edges and at full scale."""
    full = np.iinfo(dtype).max
    for value in (0, 1, full // 2, full):
        flat = np.full((53, 71), value, dtype)
        for size in ((5, 7), (53, 7), (100, 200), (1, 1)):
            np.testing.assert_array_equal(resize_antialiased(flat, *size), np.full(size, value, dtype))


def test_sixteen_bits_carry_what_eight_bits_cannot() -> None:
    """A slope of a few steps of 65,536 survives, and agrees with exact arithmetic within one step."""
    slope = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint16) + 30_000
    resized = resize_antialiased(slope, 10, 15)
    exact = 30_000 + np.add.outer(np.arange(10) * 4 + 1.5, np.arange(15) * 4 + 1.5)
    assert np.abs(resized[1:-1, 1:-1] - exact[1:-1, 1:-1]).max() <= 1


def test_the_same_size_is_the_same_picture() -> None:
    """Nothing to do changes nothing."""
    array = picture(20, 30, 3)
    np.testing.assert_array_equal(resize_antialiased(array, 20, 30), array)
