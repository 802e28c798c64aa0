from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.domain.errors import BundleError, ImageError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, InputSpec, Layout, Resize, Tiles
from edge_runtime.vision.framing import Framing, framing, map_window, window_px
from edge_runtime.vision.prepare import prepare

SPEC = InputSpec(
    tensor="input",
    height_px=224,
    width_px=224,
    resize=Resize.LINEAR_ANTIALIAS,
    colour=ColourOrder.RGB,
    layout=Layout.NCHW,
    dtype="float32",
    resized_px=(256, 256),
)
SHORTER = replace(SPEC, fit=Fit.SHORTER_SIDE)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ((480, 640), Framing(256, 341, 16, 58)),  # int(256 · 640 / 480), round(58.5) to the even neighbour
        ((640, 480), Framing(341, 256, 58, 16)),
        ((256, 257), Framing(256, 257, 16, 16)),  # round(16.5)
        ((256, 259), Framing(256, 259, 16, 18)),  # round(17.5)
        ((100, 100), Framing(256, 256, 16, 16)),
    ],
)
def test_sizes_round_as_torchvision_rounds(frame: tuple[int, int], expected: Framing) -> None:
    """`Resize(256)` cuts the longer side to a whole number; `CenterCrop(224)` rounds halves to even."""
    assert framing(SHORTER, *frame) == expected


def test_stretching_ignores_proportions() -> None:
    """Any region becomes the stated size; without a crop nothing is left over."""
    assert framing(SPEC, 480, 640) == Framing(256, 256, 16, 16)
    assert framing(replace(SPEC, resized_px=None), 480, 640) == Framing(224, 224, 0, 0)


def test_a_frame_too_narrow_for_the_crop_is_refused() -> None:
    """Padding would show the model something that it was never trained on."""
    wide = replace(SHORTER, width_px=320, resized_px=(256, 320))
    assert framing(wide, 480, 640).width_px == 341
    with pytest.raises(ImageError, match="becomes 256×256, the bundle crops 320×224"):
        framing(wide, 480, 480)
    with pytest.raises(ImageError, match="crops"):
        prepare(np.zeros((480, 480, 3), np.uint8), wide)


def test_the_window_is_what_the_crop_leaves_of_the_region() -> None:
    """In frame pixels, shifted by the region; the whole region where nothing is cropped or tiles cover it."""
    assert window_px(SPEC, 512, 1024) == (64, 32, 896, 448)
    assert window_px(replace(SPEC, region=(100, 50, 256, 256)), 512, 1024) == (116, 66, 224, 224)
    assert window_px(SHORTER, 512, 1024) == (288, 32, 448, 448)
    plain = replace(SPEC, resized_px=None)
    assert window_px(plain, 512, 1024) == (0, 0, 1024, 512)
    assert window_px(replace(plain, region=(1, 2, 30, 40)), 512, 1024) == (1, 2, 30, 40)
    assert window_px(replace(SPEC, tiles=Tiles(2, 2)), 512, 1024) == (0, 0, 1024, 512)


def test_a_map_over_the_whole_frame_needs_no_window() -> None:
    """None, so that no frame is drawn around the picture."""
    frame = np.zeros((512, 1024, 3), np.uint8)
    assert map_window(replace(SPEC, resized_px=None), frame) is None
    assert map_window(SPEC, frame) == (64, 32, 896, 448)


def test_the_centre_crop_takes_the_centre() -> None:
    """What lies in the border of the resized frame never reaches the graph."""
    frame = np.full((256, 256, 3), 255, np.uint8)
    frame[16:240, 16:240] = 100
    tensor = prepare(frame, replace(SPEC, scale=255.0))
    np.testing.assert_array_equal(tensor, np.full((1, 3, 224, 224), 100, np.float32))


def test_nothing_resized_still_crops() -> None:
    """`Resize.NONE` with a crop takes frames of the size before the crop, and no other."""
    spec = replace(SPEC, resize=Resize.NONE)
    assert prepare(np.zeros((256, 256, 3), np.uint8), spec).shape == (1, 3, 224, 224)
    with pytest.raises(ImageError, match="takes only 256×256"):
        prepare(np.zeros((224, 224, 3), np.uint8), spec)


def test_fractions_survive_where_the_source_keeps_them() -> None:
    """A slope of less than one grey level per pixel: rounded away in whole pixels, kept in fractions."""
    frame = np.repeat(np.arange(64, dtype=np.uint8)[:, np.newaxis] // 2, 64, axis=1)
    spec = replace(SPEC, height_px=128, width_px=64, resized_px=None, scale=255.0)
    whole = prepare(frame, spec)[0, 0, :, 0]
    kept = prepare(frame, replace(spec, keep_fractions=True))[0, 0, :, 0]
    assert set(np.unique(whole % 1)) == {0.0}
    assert len(np.unique(kept)) > 1.5 * len(np.unique(whole))


def test_fractions_of_bytes_are_the_bundles_fault() -> None:
    """A graph that takes bytes cannot get them."""
    with pytest.raises(BundleError, match="fractions of bytes"):
        prepare(np.zeros((256, 256, 3), np.uint8), replace(SPEC, dtype="uint8", keep_fractions=True))


def test_sixteen_bits_keep_their_scale_in_fractions() -> None:
    """Full scale of a 16-bit frame is 1 as well."""
    frame = np.full((300, 300, 3), 65_535, np.uint16)
    tensor = prepare(frame, replace(SPEC, keep_fractions=True))
    np.testing.assert_allclose(tensor, 1.0, rtol=1e-6)


def test_each_new_resize_is_the_one_it_is_named_after() -> None:
    """A single bright pixel: cubic overshoots below it, its antialiased form reaches further, nearest only picks."""
    frame = np.full((40, 40, 3), 100, np.uint8)
    frame[20, 20] = 255
    small = replace(SPEC, height_px=20, width_px=20, resized_px=None, scale=255.0, keep_fractions=True)
    nearest = prepare(frame, replace(small, resize=Resize.NEAREST))
    assert set(np.unique(nearest)) <= {100.0, 255.0}
    cubic = prepare(frame, replace(small, resize=Resize.CUBIC))
    wide = prepare(frame, replace(small, resize=Resize.CUBIC_ANTIALIAS))
    assert cubic.min() < 99.9
    assert np.count_nonzero(np.abs(wide - 100) > 1e-3) > np.count_nonzero(np.abs(cubic - 100) > 1e-3)
