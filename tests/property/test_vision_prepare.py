"""What must hold for any frame and any input."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.anomaly_map import normalise, smooth, upsample
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.encode import encode_png
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

sides = st.integers(1, 90)
depths = st.sampled_from([np.uint8, np.uint16])


@st.composite
def exposures(draw: st.DrawFn) -> np.ndarray:
    """Any legal exposure: sizes, depths, mono and colour."""
    dtype = draw(depths)
    shape = (draw(sides), draw(sides), *draw(st.sampled_from([(), (3,)])))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    """Any legal input with a resize."""
    return InputSpec(
        tensor="input",
        height_px=draw(sides),
        width_px=draw(sides),
        resize=draw(
            st.sampled_from(
                [Resize.AREA, Resize.AREA_HALVED, Resize.LINEAR_HALVED, Resize.LINEAR, Resize.LINEAR_ANTIALIAS]
            )
        ),
        colour=draw(st.sampled_from(list(ColourOrder))),
        layout=draw(st.sampled_from(list(Layout))),
        dtype=draw(st.sampled_from(["uint8", "float32"])),
    )


@contextmanager
def opencv_threads(count: int) -> Iterator[None]:
    """OpenCV's pool with so many threads."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@settings(deadline=None, max_examples=200)
@given(exposure=exposures(), spec=specs())
def test_every_exposure_fits_every_resizing_input(exposure: np.ndarray, spec: InputSpec) -> None:
    """Shape, dtype and range are those that the input states; only what is enlarged beyond 16 times is refused."""
    rows, columns = exposure.shape[:2]
    if 16 * rows < spec.height_px or 16 * columns < spec.width_px:
        with pytest.raises(ImageError, match="far too small"):
            prepare(exposure, spec)
        return
    tensor = prepare(exposure, spec)
    channels = 1 if spec.colour is ColourOrder.MONO else 3
    size = (spec.height_px, spec.width_px)
    assert tensor.shape == ((1, channels, *size) if spec.layout is Layout.NCHW else (1, *size, channels))
    assert tensor.dtype == spec.dtype
    low, high = exposure.min() / np.iinfo(exposure.dtype).max, exposure.max() / np.iinfo(exposure.dtype).max
    unit = tensor / 255.0 if spec.dtype == "uint8" else tensor
    step = 1.01 / 255  # rounding of one grey level, and of the high byte
    assert unit.min() >= low - step
    assert unit.max() <= high + step


@settings(deadline=None, max_examples=100)
@given(exposure=exposures(), spec=specs(), threads=st.sampled_from([2, 3, 8]))
def test_the_number_of_threads_changes_no_bit(exposure: np.ndarray, spec: InputSpec, threads: int) -> None:
    """Scores are the same on a machine with other cores."""
    assume(16 * exposure.shape[0] >= spec.height_px and 16 * exposure.shape[1] >= spec.width_px)
    with opencv_threads(1):
        one = prepare(exposure, spec)
    with opencv_threads(threads):
        np.testing.assert_array_equal(prepare(exposure, spec), one)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), sigma=st.floats(0, 8), threads=st.sampled_from([2, 8]))
def test_maps_do_not_depend_on_threads_either(seed: int, sigma: float, threads: int) -> None:
    """Upsampling and smoothing are deterministic, stay inside the values they are given, and keep a flat map flat."""
    grid = np.random.default_rng(seed).random((14, 17)).astype(np.float32)
    with opencv_threads(1):
        one = smooth(upsample(grid, 100, 130), sigma)
    with opencv_threads(threads):
        np.testing.assert_array_equal(smooth(upsample(grid, 100, 130), sigma), one)
    assert one.min() >= grid.min() - 1e-5
    assert one.max() <= grid.max() + 1e-5
    flat = smooth(upsample(np.full((14, 17), 3.5, np.float32), 100, 130), sigma)
    np.testing.assert_allclose(flat, 3.5, rtol=1e-5)


@settings(deadline=None, max_examples=100)
@given(
    values=st.lists(st.floats(width=32), min_size=1, max_size=20),
    low=st.floats(-1e6, 1e6),
    width=st.floats(0, 1e6),
)
def test_normalised_maps_are_between_0_and_1_and_ordered(values: list[float], low: float, width: float) -> None:
    """Whatever the graph gave: NaN is drawn hot, infinities at their ends, a larger value never colder."""
    array = np.array([values], dtype=np.float32)
    drawn = normalise(array, (low, low + width))
    assert drawn.dtype == np.float32
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert (drawn[np.isnan(array)] == 1).all()
    order = np.argsort(array[~np.isnan(array)], kind="stable")
    assert (np.diff(drawn[~np.isnan(array)][order]) >= 0).all()


@settings(deadline=None, max_examples=60)
@given(exposure=exposures())
def test_png_gives_back_every_exposure(exposure: np.ndarray) -> None:
    """Golden images survive the bundle bit for bit."""
    decoded = decode_image(encode_png(exposure)).array
    np.testing.assert_array_equal(decoded, exposure)
    assert decoded.dtype == exposure.dtype
