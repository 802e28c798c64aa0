from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge_runtime.domain.errors import BundleError, ImageError
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.prepare import prepare

SPEC = InputSpec(
    tensor="input",
    height_px=6,
    width_px=8,
    resize=Resize.AREA,
    colour=ColourOrder.RGB,
    layout=Layout.NCHW,
    dtype="float32",
)


def frame(height: int, width: int, dtype: type = np.uint8, channels: int = 3) -> np.ndarray:
    """Random pixels over the whole range."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    full = np.iinfo(dtype).max
    return np.random.default_rng(height * width).integers(0, full, shape, dtype=dtype, endpoint=True)


def test_values_follow_the_stated_formula() -> None:
    """(pixel / full scale · scale − mean) / std per channel, exact to float32's last bit, for 8 and 16 bit."""
    spec = replace(SPEC, scale=255.0, mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0))
    for dtype in (np.uint8, np.uint16):
        pixels = frame(6, 8, dtype)
        exact = (pixels / np.iinfo(dtype).max * 255.0 - spec.mean) / spec.std
        np.testing.assert_array_equal(prepare(pixels, spec)[0], exact.transpose(2, 0, 1).astype(np.float32))


def test_layout_and_colour_order_only_move_values() -> None:
    """NHWC is NCHW with its axes moved, BGR is RGB reversed: also with per-channel means."""
    spec = replace(SPEC, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    pixels = frame(30, 40)
    reference = prepare(pixels, spec)
    assert reference.shape == (1, 3, 6, 8)
    assert reference.dtype == np.float32
    assert reference.flags.c_contiguous
    last = prepare(pixels, replace(spec, layout=Layout.NHWC))
    assert last.flags.c_contiguous
    np.testing.assert_array_equal(last, reference.transpose(0, 2, 3, 1))
    reversed_spec = replace(spec, colour=ColourOrder.BGR, mean=spec.mean[::-1], std=spec.std[::-1])
    np.testing.assert_array_equal(prepare(pixels, reversed_spec), reference[:, ::-1])


@pytest.mark.parametrize("resize", [Resize.AREA, Resize.LINEAR, Resize.LINEAR_ANTIALIAS])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mono_frame_equals_the_same_frame_in_grey_rgb(resize: Resize, dtype: type) -> None:
    """Replicating before or after the resize gives the same bits, so a mono camera can feed a colour model."""
    mono = frame(37, 53, dtype, channels=1)
    grey = np.repeat(mono[..., None], 3, axis=2)
    spec = replace(SPEC, resize=resize)
    np.testing.assert_array_equal(prepare(mono, spec), prepare(grey, spec))


def test_colour_becomes_luminance_for_mono_graphs() -> None:
    """ITU-R BT.601 weights, within the rounding of one grey level; one channel comes out."""
    pixels = frame(6, 8)
    tensor = prepare(pixels, replace(SPEC, colour=ColourOrder.MONO, scale=255.0))
    assert tensor.shape == (1, 1, 6, 8)
    np.testing.assert_allclose(tensor[0, 0], pixels @ [0.299, 0.587, 0.114], atol=0.51)


def test_bytes_stay_bytes() -> None:
    """uint8 input is neither scaled nor normalised; 16-bit frames give their high byte, after the resize."""
    spec = replace(SPEC, dtype="uint8", mean=(9.0, 9.0, 9.0), layout=Layout.NHWC)
    eight = frame(6, 8)
    tensor = prepare(eight, spec)
    assert tensor.dtype == np.uint8
    np.testing.assert_array_equal(tensor[0], eight)
    sixteen = frame(30, 40, np.uint16)
    resized = cv2.resize(sixteen, (8, 6), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(prepare(sixteen, spec)[0], resized >> 8)


def test_each_resize_is_the_one_it_is_named_after() -> None:
    """AREA averages the covered pixels, LINEAR samples bare, LINEAR_ANTIALIAS widens its triangle."""
    stripes = np.zeros((24, 32, 3), np.uint8)
    stripes[:, ::4] = 200
    scaled = replace(SPEC, scale=255.0)
    area = prepare(stripes, replace(scaled, resize=Resize.AREA))
    np.testing.assert_array_equal(area, np.full_like(area, 50.0))
    linear = prepare(stripes, replace(scaled, resize=Resize.LINEAR))
    np.testing.assert_array_equal(linear, np.zeros_like(linear))  # it never looks at every fourth column
    wide = prepare(stripes, replace(scaled, resize=Resize.LINEAR_ANTIALIAS))
    np.testing.assert_allclose(wide[..., 1:-1], 50.0, atol=7)


def test_only_the_region_counts() -> None:
    """What lies outside x, y, width, height changes nothing; inside it is the crop that is resized."""
    pixels = frame(50, 60)
    region = (10, 20, 24, 18)
    spec = replace(SPEC, region=region)
    reference = prepare(pixels, spec)
    np.testing.assert_array_equal(reference, prepare(np.ascontiguousarray(pixels[20:38, 10:34]), SPEC))
    outside = np.zeros_like(pixels)
    outside[20:38, 10:34] = pixels[20:38, 10:34]
    np.testing.assert_array_equal(prepare(outside, spec), reference)


@pytest.mark.parametrize(
    "region",
    [(0, 0, 61, 50), (0, 0, 60, 51), (-1, 0, 5, 5), (0, -1, 5, 5), (60, 0, 1, 1), (5, 5, 0, 3)],
)
def test_a_region_outside_the_frame_is_refused(region: tuple[int, int, int, int]) -> None:
    """Never clipped silently: a part of the part would go uninspected."""
    with pytest.raises(ImageError, match="60×50 frame"):
        prepare(frame(50, 60), replace(SPEC, region=region))


def test_the_region_may_be_the_whole_frame() -> None:
    """The edge belongs to the frame."""
    pixels = frame(50, 60)
    whole = prepare(pixels, replace(SPEC, region=(0, 0, 60, 50)))
    np.testing.assert_array_equal(whole, prepare(pixels, SPEC))


def test_without_resize_the_size_must_fit() -> None:
    """The error names both sizes."""
    spec = replace(SPEC, resize=Resize.NONE)
    assert prepare(frame(6, 8), spec).shape == (1, 3, 6, 8)
    with pytest.raises(ImageError, match="9×6 pixels, the bundle takes only 8×6"):
        prepare(frame(6, 9), spec)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((6, 8), np.float32), np.zeros((6, 8, 4), np.uint8), np.zeros((6,), np.uint8), np.zeros((6, 8), np.int16)],
)
def test_what_is_no_exposure_is_refused(pixels: np.ndarray) -> None:
    """Float, alpha, a single row: ImageError, not a strange score."""
    with pytest.raises(ImageError, match="shape"):
        prepare(pixels, SPEC)


def test_a_senseless_spec_is_the_bundles_fault() -> None:
    """Another dtype, or fewer means than channels."""
    with pytest.raises(BundleError, match="float16"):
        prepare(frame(6, 8), replace(SPEC, dtype="float16"))
    with pytest.raises(BundleError, match="means"):
        prepare(frame(6, 8), replace(SPEC, mean=(0.5,), std=(0.5,)))


def test_the_frame_is_left_alone_and_not_shared() -> None:
    """A read-only frame is enough, and a tensor never shares its memory."""
    pixels = frame(6, 8, channels=1)
    pixels.flags.writeable = False
    spec = replace(SPEC, dtype="uint8", colour=ColourOrder.MONO, layout=Layout.NHWC)
    tensor = prepare(pixels, spec)
    assert not np.shares_memory(tensor, pixels)
    assert tensor.flags.writeable


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "halvings"), [((24, 32), 2), ((12, 64), 1), ((11, 64), 0), ((22, 64), 1), ((12, 15), 0)]
)
def test_halving_is_the_rounded_mean_of_four(dtype: type, channels: int, size: tuple[int, int], halvings: int) -> None:
    """As often as both sides are even and at least twice too long; the rest is the plain area resize."""
    pixels = frame(*size, dtype, channels)
    by_hand = pixels.astype(np.uint32)
    for _ in range(halvings):
        by_hand = (by_hand[::2, ::2] + by_hand[1::2, ::2] + by_hand[::2, 1::2] + by_hand[1::2, 1::2] + 2) // 4
    found = prepare(pixels, replace(SPEC, resize=Resize.AREA_HALVED))
    np.testing.assert_array_equal(found, prepare(by_hand.astype(dtype), SPEC))


@pytest.mark.parametrize(
    ("size", "halved", "rest"),
    [
        ((24, 38), (12, 19), Resize.LINEAR),
        ((11, 19), (11, 19), Resize.LINEAR),
        ((11, 64), (11, 64), Resize.AREA),
        ((22, 64), (11, 32), Resize.AREA),
        ((15, 20), (15, 20), Resize.AREA),
        ((4, 6), (4, 6), Resize.LINEAR),
    ],
)
def test_linear_follows_halving_only_where_it_leaves_little_out(
    size: tuple[int, int], halved: tuple[int, int], rest: Resize
) -> None:
    """From two and a half times too long on the rest is averaged, as ever, so that no defect falls between pixels."""
    pixels = frame(*size)
    if halved != size:
        pixels = np.asarray(cv2.resize(pixels, halved[::-1], interpolation=cv2.INTER_AREA))
    found = prepare(frame(*size), replace(SPEC, resize=Resize.LINEAR_HALVED))
    np.testing.assert_array_equal(found, prepare(pixels, replace(SPEC, resize=rest)))


def test_a_large_frame_is_halved_in_the_same_way_with_any_number_of_threads() -> None:
    """OpenCV splits large pictures among threads; small ones, as above, it does not."""
    pixels = frame(600, 960)
    spec = replace(SPEC, height_px=224, width_px=224, resize=Resize.AREA_HALVED)
    found = []
    for threads in (1, 2, 5):
        before = cv2.getNumThreads()
        cv2.setNumThreads(threads)
        found.append(prepare(pixels, spec).tobytes())
        cv2.setNumThreads(before)
    assert len(set(found)) == 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 4000), (4000, 2), (3, 64)])
def test_a_picture_with_next_to_nothing_in_it_is_refused(height: int, width: int) -> None:
    """A pixel or a sliver, smoothly enlarged, looks like a faultless part: it is no image of one, and never scored."""
    with pytest.raises(ImageError, match=f"{width}×{height} pixels is far too small"):
        prepare(frame(height, width), replace(SPEC, height_px=64, width_px=64))
    assert prepare(frame(4, 4), replace(SPEC, height_px=64, width_px=64)).shape == (1, 3, 64, 64)
