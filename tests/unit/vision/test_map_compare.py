from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundles.reference_maps import read_map, write_map
from edge_runtime.vision.compare import lacks_contrast, map_correlation


def spotted(level: float, contrast: float, side_px: int = 96) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A bright spot of this height on this level."""
    plane = np.full((side_px, side_px), level, np.float32)
    plane[20:40, 50:70] += np.float32(contrast)
    return plane


def test_a_saturated_map_agrees_with_its_stored_self() -> None:
    """A map cut to 1 all over but for a rounding here and there says nothing, on either side."""
    plane = np.ones((240, 240), np.float32)
    plane[::7, ::5] = np.nextafter(np.float32(1), np.float32(0))
    assert lacks_contrast(plane)
    stored = read_map(write_map(plane), "test")
    assert not stored.any()
    assert map_correlation(stored, plane) == 1.0
    assert map_correlation(stored, spotted(1.0, 0.1, 240)) == 0.0


@given(level=st.floats(-1e3, 1e3), power=st.integers(-12, 12), dark=st.booleans())
def test_a_weak_contrast_survives_storing(level: float, power: int, *, dark: bool) -> None:
    """On whatever level it stands, in whatever unit: float16 keeps what float32 tells apart."""
    contrast = max(abs(level) * 1e-4, 10.0**power)
    plane = spotted(level, -contrast if dark else contrast)
    assert map_correlation(read_map(write_map(plane), "test"), plane) == pytest.approx(1, abs=1e-3)


def test_a_map_of_tiny_values_has_contrast() -> None:
    """Residuals far below 1 are compared like any others."""
    one, other = spotted(1e-9, 4e-9), spotted(1e-9, 4e-9)[::-1]
    assert not lacks_contrast(one)
    assert map_correlation(one, 3 * one) == pytest.approx(1)
    assert map_correlation(one, other) < 0.5
