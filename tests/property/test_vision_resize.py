"""The device's resize against those who define it, Pillow for images and PyTorch for tensors, and the reference's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_convert.importing.pixels import reference_tensor
from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, InputSpec, Layout, Resize
from edge_runtime.vision.framing import window_px
from edge_runtime.vision.prepare import prepare

sides = st.integers(2, 70)
frame_sides = st.integers(5, 70)  # a smaller one is refused: it would be enlarged beyond 16 times
seeds = st.integers(0, 2**32 - 1)
SPEC = InputSpec(
    tensor="input",
    height_px=8,
    width_px=8,
    resize=Resize.LINEAR_ANTIALIAS,
    colour=ColourOrder.RGB,
    layout=Layout.NHWC,
    dtype="float32",
    scale=255.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)
STEP_BY_METHOD = {
    Resize.LINEAR_ANTIALIAS: 1e-3,  # rounded where Pillow rounds: only a tie may fall otherwise
    Resize.CUBIC_ANTIALIAS: 1e-3,
    Resize.NEAREST: 1e-3,
    Resize.AREA: 1.01,  # OpenCV sums in its own order and width
    Resize.AREA_HALVED: 1.01,
    Resize.LINEAR_HALVED: 1.01,
    Resize.LINEAR: 1.01,
    Resize.CUBIC: 1.01,
}


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """A frame that no resize forgives."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None, max_examples=120)
@given(seed=seeds, before=st.tuples(frame_sides, frame_sides), after=st.tuples(sides, sides))
@pytest.mark.parametrize(
    ("method", "filter_name"),
    [(Resize.LINEAR_ANTIALIAS, "BILINEAR"), (Resize.CUBIC_ANTIALIAS, "BICUBIC")],
)
def test_whole_pixels_are_pillows(
    method: Resize, filter_name: str, seed: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Bit for bit, for any sizes: columns first, then rows (Pillow up to 12; 13 turns the order for some sizes)."""
    image_module = pytest.importorskip("PIL.Image", reason="needs Pillow (the extra `dev`)")
    frame = noise(seed, *before)
    filter_ = getattr(image_module.Resampling, filter_name)
    wide = image_module.fromarray(frame).resize((after[1], before[0]), filter_)
    expected = np.asarray(wide.resize((after[1], after[0]), filter_))
    spec = replace(SPEC, height_px=after[0], width_px=after[1], resize=method, dtype="uint8")
    np.testing.assert_array_equal(prepare(frame, spec)[0], expected)


@settings(deadline=None, max_examples=80)
@given(seed=seeds, before=st.tuples(frame_sides, frame_sides), after=st.tuples(sides, sides))
@pytest.mark.parametrize(
    ("method", "mode", "antialias"),
    [
        (Resize.LINEAR_ANTIALIAS, "bilinear", 1),
        (Resize.LINEAR, "bilinear", 0),
        (Resize.CUBIC_ANTIALIAS, "bicubic", 1),
        (Resize.CUBIC, "bicubic", 0),
    ],
)
def test_fractions_are_torchs(
    method: Resize, mode: str, antialias: int, seed: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """What torchvision does to a float tensor, within float32's own rounding, and never clipped."""
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    frame = noise(seed, *before)
    tensor = torch.from_numpy(frame.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 255)
    expected = torch.nn.functional.interpolate(tensor, size=after, mode=mode, antialias=bool(antialias)).numpy()
    spec = replace(SPEC, height_px=after[0], width_px=after[1], resize=method, keep_fractions=True, scale=1.0)
    found = prepare(frame, replace(spec, layout=Layout.NCHW))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def between_two(before: int, after: int) -> np.ndarray:
    """True where a new pixel's centre lies exactly between two old ones: there only rounding decides."""
    return (2 * np.arange(after) + 1) * before % (2 * after) == 0


@settings(deadline=None, max_examples=120)
@given(seed=seeds, before=st.tuples(frame_sides, frame_sides), after=st.tuples(sides, sides))
def test_nearest_pixels_are_pillows(seed: int, before: tuple[int, int], after: tuple[int, int]) -> None:
    """The pixel under the new one's centre, wherever there is only one."""
    image_module = pytest.importorskip("PIL.Image", reason="needs Pillow (the extra `dev`)")
    frame = noise(seed, *before)
    expected = np.asarray(image_module.fromarray(frame).resize(after[::-1], image_module.Resampling.NEAREST))
    found = prepare(frame, replace(SPEC, height_px=after[0], width_px=after[1], resize=Resize.NEAREST, dtype="uint8"))
    clear = np.ix_(~between_two(before[0], after[0]), ~between_two(before[1], after[1]))
    np.testing.assert_array_equal(found[0][clear], expected[clear])


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    """Any input with a resize, crop, colours and normalisation."""
    size = (draw(st.integers(2, 40)), draw(st.integers(2, 40)))
    colour = draw(st.sampled_from([ColourOrder.RGB, ColourOrder.BGR]))
    return replace(
        SPEC,
        height_px=size[0],
        width_px=size[1],
        resize=draw(st.sampled_from(sorted(STEP_BY_METHOD, key=str))),
        colour=colour,
        layout=draw(st.sampled_from(list(Layout))),
        keep_fractions=draw(st.booleans()),
        fit=draw(st.sampled_from(list(Fit))),
        resized_px=draw(st.none() | st.tuples(st.integers(size[0], 60), st.integers(size[1], 60))),
        mean=(100.0, 110.0, 120.0),
        std=(1.0, 2.0, 4.0),
    )


@settings(deadline=None, max_examples=120)
@given(seed=seeds, before=st.tuples(frame_sides, frame_sides), spec=specs())
def test_the_device_prepares_what_the_reference_does(seed: int, before: tuple[int, int], spec: InputSpec) -> None:
    """Two implementations that share no code agree for any sizes, crops, colours and layouts, or both refuse."""
    if spec.resize in {Resize.AREA, Resize.AREA_HALVED, Resize.LINEAR_HALVED}:
        assume(max(spec.resized_px or (spec.height_px, spec.width_px)) <= min(before))
        assume(spec.fit is Fit.STRETCH)
    frame = noise(seed, *before)
    try:
        found = prepare(frame, spec)
    except ImageError:
        return
    expected = reference_tensor(frame, spec)
    assert found.shape == expected.shape
    step = 0.02 if spec.keep_fractions else STEP_BY_METHOD[spec.resize]
    tight = spec.resize in {Resize.LINEAR_ANTIALIAS, Resize.CUBIC_ANTIALIAS} and not spec.keep_fractions
    apart = np.abs(found - expected)
    if tight:  # weights in fixed point: a tie may be rounded the other way, once per pass
        assert apart.max() <= 2.01
        assert (apart > step).sum() <= max(2, 0.05 * apart.size)
    else:
        assert apart.max() <= step


@settings(deadline=None, max_examples=80)
@given(before=st.tuples(frame_sides, frame_sides), spec=specs())
def test_the_window_lies_in_the_frame_and_holds_what_the_model_sees(before: tuple[int, int], spec: InputSpec) -> None:
    """Blackening all but the window (and a filter's reach around it) changes nothing that the model sees."""
    frame = np.full((*before, 3), 200, np.uint8)
    x, y, width, height = window_px(spec, *before)
    assert 0 <= x <= x + width <= before[1]
    assert 0 <= y <= y + height <= before[0]
    assert width >= 1
    assert height >= 1
    try:
        whole = prepare(frame, spec)
    except ImageError:
        return
    target = spec.resized_px or (spec.height_px, spec.width_px)
    reach = 3 + 3 * max(1, -(-max(before) // max(1, min(target))))
    masked = np.zeros_like(frame)
    rows = slice(max(0, y - reach), y + height + reach)
    columns = slice(max(0, x - reach), x + width + reach)
    masked[rows, columns] = frame[rows, columns]
    np.testing.assert_allclose(prepare(masked, spec), whole, atol=0.51)
