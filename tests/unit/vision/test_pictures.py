"""What people look at: heatmap, caption, and the figure for focusing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.verdict import Disposition
from edge_runtime.vision.caption import Caption, with_caption
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.display import as_picture
from edge_runtime.vision.encode import encode_jpeg, encode_png
from edge_runtime.vision.heatmap import overlay
from edge_runtime.vision.sharpness import sharpness

PART = np.random.default_rng(2).integers(60, 160, (90, 120, 3), dtype=np.uint8)


def spot(height: int = 18, width: int = 24, row: int = 4, column: int = 18) -> np.ndarray:
    """A map that is 1 everywhere and 5 in one cell."""
    anomaly_map = np.ones((height, width), np.float32)
    anomaly_map[row, column] = 5.0
    return anomaly_map


def test_a_good_part_looks_like_itself() -> None:
    """Where the map is at or below 0 %, not one pixel changes."""
    np.testing.assert_array_equal(overlay(PART, spot() * 0 + 1, (1.0, 5.0)), PART)


def test_the_glow_is_where_the_anomaly_is() -> None:
    """The pixels that change most lie in the anomalous cell, and far away nothing changes."""
    heated = overlay(PART, spot(), (1.0, 5.0)).astype(int)
    change = np.abs(heated - PART).sum(axis=2)
    row, column = np.unravel_index(np.argmax(cv2.blur(change.astype(np.float32), (3, 3))), change.shape)
    assert (row // 5, column // 5) == (4, 18)
    assert change[60:].max() == 0
    assert change[:, :60].max() == 0


def test_lightness_grows_with_the_value() -> None:
    """Over a black part, hotter is lighter: it reads the same printed in grey."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[np.newaxis]
    heated = overlay(np.zeros((1, 256), np.uint8), ramp, (0.0, 1.0))
    lightness = cv2.cvtColor(heated, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= -1).all()
    assert lightness[-1] > 150


def test_only_the_region_is_painted_and_framed() -> None:
    """A model that sees a part of the frame says nothing about the rest."""
    region = (30, 20, 60, 40)
    heated = overlay(PART, spot() * 0 + 9, (1.0, 5.0), region)
    outside = np.ones(PART.shape[:2], bool)
    outside[20:60, 30:90] = False
    np.testing.assert_array_equal(heated[outside], PART[outside])
    assert (heated[20, 30:90] == 255).all()
    assert (heated[21:59, 31:89] != PART[21:59, 31:89]).any(axis=2).mean() > 0.99


def test_overlay_takes_any_exposure_and_shrinks_it() -> None:
    """Mono, 16 bit and large frames give an 8-bit RGB picture of at most the wished size; the frame stays as it was."""
    deep = (PART[..., 0].astype(np.uint16) * 16).copy()
    deep.flags.writeable = False
    heated = overlay(deep, spot(), (1.0, 5.0), max_side_px=60)
    assert heated.shape == (45, 60, 3)
    assert heated.dtype == np.uint8
    assert overlay(PART, spot(), (1.0, 5.0), max_side_px=1_000).shape == PART.shape


def test_nan_in_a_map_is_drawn_hot() -> None:
    """A broken map alarms; it does not look like a good part."""
    broken = np.full((4, 4), np.nan, np.float32)
    assert np.abs(overlay(PART, broken, (0.0, 1.0)).astype(int) - PART).mean() > 20


def test_twelve_bit_frames_are_visible() -> None:
    """A 12-bit camera's values are shifted by four bits, not by eight; 8-bit frames are untouched."""
    twelve = np.full((4, 4), 4095, np.uint16)
    assert (as_picture(twelve) == 255).all()
    assert (as_picture(np.full((4, 4), 65_535, np.uint16)) == 255).all()
    assert (as_picture(np.zeros((4, 4), np.uint16)) == 0).all()
    np.testing.assert_array_equal(as_picture(PART), PART)
    assert not np.shares_memory(as_picture(PART), PART)


@pytest.mark.parametrize("disposition", list(Disposition))
@pytest.mark.parametrize("trust", ["development", "production"])
def test_the_strip_stands_below_an_untouched_picture(disposition: Disposition, trust: str) -> None:
    """The picture is not painted over, and the strip differs with what it says."""
    wide = np.tile(PART, (1, 4, 1))
    page = with_caption(wide, Caption(disposition, 1.25, "cam/part-7", trust))
    assert page.shape[1] == wide.shape[1]
    assert page.shape[0] > wide.shape[0]
    np.testing.assert_array_equal(page[: wide.shape[0]], wide)
    others = [
        with_caption(wide, Caption(disposition, None, "cam/part-7", trust)),
        with_caption(wide, Caption(disposition, 1.25, "cam/part-8", trust)),
    ]
    assert all((other != page).any() for other in others)


def test_development_is_written_only_on_development_pictures() -> None:
    """The warning's colour appears with trust "development" alone, also on a picture too narrow for the words."""
    for picture in (PART, np.zeros((10, 10, 3), np.uint8)):
        warned = with_caption(picture, Caption(Disposition.PASS, 1.0, "x", "development"))[picture.shape[0] :]
        silent = with_caption(picture, Caption(Disposition.PASS, 1.0, "x", "production"))[picture.shape[0] :]
        yellow = [(strip[..., 0] > 200) & (strip[..., 2] < 90) for strip in (warned, silent)]
        assert yellow[0].sum() > 30
        assert yellow[1].sum() == 0


def test_long_and_foreign_part_ids_do_not_break_the_strip() -> None:
    """Cut at the front: the end tells parts apart."""
    wide = np.tile(PART, (1, 3, 1))
    one = with_caption(wide, Caption(Disposition.PASS, 1.0, "Prüfling/" + "x" * 300 + "0001", "production"))
    other = with_caption(wide, Caption(Disposition.PASS, 1.0, "Prüfling/" + "x" * 300 + "0002", "production"))
    assert one.shape[1] == wide.shape[1]
    assert (one != other).any()


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    """Defocus lowers it steadily; half the light leaves it within a few percent; depth and colour do not matter."""
    base = sharpness(PART)
    blurred = [sharpness(np.asarray(cv2.GaussianBlur(PART, (0, 0), sigma))) for sigma in (0.7, 1.5, 3.0)]
    assert [base, *blurred] == sorted([base, *blurred], reverse=True)
    assert sharpness((PART // 2).astype(np.uint8)) == pytest.approx(base, rel=0.03)
    assert sharpness(PART.astype(np.uint16) * 257) == pytest.approx(base, rel=0.02)


def test_sharpness_has_a_region_and_an_end() -> None:
    """Only the region counts; black, flat and empty give 0."""
    half = PART.copy()
    half[:, 60:] = 128
    assert sharpness(half, (70, 0, 40, 90)) == 0.0
    assert sharpness(half, (0, 0, 50, 90)) > 10
    assert sharpness(np.zeros((5, 5), np.uint8)) == 0.0
    assert sharpness(PART, (500, 500, 10, 10)) == 0.0


def test_jpeg_quality_trades_size() -> None:
    """Lower quality is smaller, all decode to the same size, 16 bit comes out as 8."""
    sizes = [len(encode_jpeg(PART, quality)) for quality in (30, 60, 95)]
    assert sizes == sorted(sizes)
    deep = decode_image(encode_jpeg(PART.astype(np.uint16) * 257, 95)).array
    np.testing.assert_array_equal(deep, decode_image(encode_jpeg(PART, 95)).array)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_what_is_no_exposure_cannot_be_encoded(wrong: np.ndarray) -> None:
    """PNG and JPEG refuse the same arrays."""
    with pytest.raises(ImageError):
        encode_png(wrong)
    with pytest.raises(ImageError):
        encode_jpeg(wrong, 90)
