"""Tiles, masks and turned parts: what teaching takes from a frame."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import ENGINE, Notices, drawn_options
from tiny_backbone import draw_part, write_backbone, write_parts

from edge_convert.features import FeatureExtractor, input_spec
from edge_convert.images import survey
from edge_convert.teach import teach
from edge_convert.teaching.area import Area, AreaOptions, resolve_area
from edge_convert.teaching.views import Views, rotate
from edge_runtime.app.inspection import load_inspector
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Tiles
from edge_runtime.engine.port import TensorInfo
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.encode import encode_jpeg, encode_png

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.images import ImageSet
    from edge_convert.report import TeachReport
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.engine.port import Tensor

SPEC = input_spec(32, 32, None)
FRAME = (96, 128)
"""Height and width of a drawn part's frame."""


def disc_mask(height: int = FRAME[0], width: int = FRAME[1]) -> np.ndarray:
    """White in the middle, where the part lies."""
    rows, columns = np.ogrid[:height, :width]
    away = (rows - height / 2) ** 2 + (columns - width / 2) ** 2
    return np.where(away < (height * 0.4) ** 2, np.uint8(255), np.uint8(0))


def write_mask(path: Path, mask: np.ndarray) -> Path:
    """Write it as PNG."""
    path.write_bytes(encode_png(mask))
    return path


def run(folder: Path, area: AreaOptions, **changes: object) -> tuple[TeachReport, Path, list[str]]:
    """Teach ten drawn parts at 48×64; the report, the bundle and the notices."""
    fixed = {"height_px": 48, "width_px": 64, "false_reject_rate": 0.1, "holdout": 0.5, "area": area}
    options = drawn_options(folder, 10, **(fixed | changes))
    observer = Notices()
    report = teach(options, observer, SystemClock())
    return report, options.out, observer.texts


def scores(inspector: Inspector, *frames: np.ndarray) -> list[float]:
    """One score per frame."""
    return [inspector.inspect((frame,)).score for frame in frames]


def test_tiles_are_taught_and_inspected(tmp_path: Path) -> None:
    """The bundle states its tiles and finds a mark; the cost is told to the person, not written into the bundle."""
    _, bundle, notices = run(tmp_path, AreaOptions(tiles="2x2", overlap=0.2))
    with load_inspector(bundle, ENGINE, "development") as inspector:
        manifest = inspector.bundle
        good = scores(inspector, *(draw_part(seed) for seed in range(50, 54)))
        bad = scores(inspector, *(draw_part(seed, defect=True) for seed in range(50, 54)))
    assert manifest.input_spec.tiles == Tiles(2, 2, 0.2)
    assert "2×2 tiles of 72×54 pixels" in manifest.notes["tiles"]
    assert max(good) < min(bad)
    assert any("4 tiles take" in text and "ms each" in text for text in notices)
    assert not any("ms" in text for text in manifest.calibration.warnings)


def test_a_masked_bundle_does_not_see_what_moves_outside(tmp_path: Path) -> None:
    """Noise outside the mask changes no bit of a score, with a region and tiles besides; the mask is in the bundle."""
    mask = disc_mask()
    area = AreaOptions(tiles="2x2", mask=write_mask(tmp_path / "mask.png", mask))
    _, bundle, _ = run(tmp_path, area, region=(8, 0, 112, 96))
    still = draw_part(60, defect=True)
    moving = [still.copy() for _ in range(3)]
    for seed, frame in enumerate(moving):
        noise = np.random.default_rng(seed).integers(0, 256, still.shape, dtype=np.uint8)
        frame[mask == 0] = noise[mask == 0]
    with load_inspector(bundle, ENGINE, "development") as inspector:
        reference, *found = scores(inspector, still, *moving)
        limits, map_range = inspector.bundle.calibration.limits, inspector.bundle.calibration.map_range
        np.testing.assert_array_equal(decode_image(inspector.payloads.read("mask.png")).array, mask)
    assert found == [reference] * 3
    assert reference > limits.review
    assert map_range[0] > 0


class Counted:
    """A features graph whose patches say which cell they are of."""

    inputs = (TensorInfo("image", (1, 32, 32, 3), "uint8"),)
    outputs = (TensorInfo("patches", (16, 1), "float32"),)

    def run(self, feeds: dict[str, Tensor], outputs: list[str]) -> dict[str, Tensor]:
        """Cells 0 … 15, and the brightest pixel of the image."""
        brightest = np.full(16, feeds["image"].max(), np.float32)
        return {outputs[0]: np.stack([np.arange(16, dtype=np.float32), brightest], axis=1)}


def test_masked_patches_never_enter_the_memory_bank() -> None:
    """Only cells with an inspected pixel are taught, tile by tile, and no network sees what lies outside."""
    mask = np.zeros((64, 64), np.bool_)
    mask[:8, :8] = mask[40:64, 33] = True
    frame = np.full((64, 64, 3), 255, np.uint8)
    frame[mask] = 7
    found = FeatureExtractor(Counted(), dataclasses.replace(SPEC, tiles=Tiles(2, 2)), mask, (4, 4)).patches(frame)
    assert found[:, 0].tolist() == [0, 4, 8, 12]
    assert found[:, 1].tolist() == [128] * 4


def striped(seed: int) -> np.ndarray:
    """A square part with upright stripes."""
    draw = np.random.default_rng(seed)
    stripes = 128 + 100 * np.sin((np.arange(96) + draw.uniform(0, 12)) / 2)
    return np.clip(stripes[:, np.newaxis] + draw.normal(0, 3, (96, 96, 3)), 0, 255).astype(np.uint8)


def test_parts_that_lie_any_way(tmp_path: Path) -> None:
    """Turned by quarters, a part is far from a bank of upright ones, and near to one that was taught turned."""
    (tmp_path / "good").mkdir()
    write_backbone(tmp_path / "b.onnx", {"input_mean": "0.5,0.5,0.5", "input_std": "0.25,0.25,0.25"})
    for seed in range(10):
        (tmp_path / "good" / f"{seed}.png").write_bytes(encode_png(striped(seed)))
    frames = [np.ascontiguousarray(np.rot90(striped(seed))) for seed in range(70, 74)]
    _, bundle, _ = run(tmp_path, AreaOptions(), width_px=48)
    with load_inspector(bundle, ENGINE, "development") as inspector:
        upright = scores(inspector, *frames)
    report, bundle, _ = run(tmp_path, AreaOptions(rotate="90"), width_px=48)
    with load_inspector(bundle, ENGINE, "development") as inspector:
        assert max(scores(inspector, *frames)) < min(upright)
        assert "in steps of 90°, 4 views of each" in inspector.bundle.notes["rotation"]
        assert len(inspector.bundle.calibration.good_scores) == report.held_out == 10


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Four drawn parts."""
    return survey(write_parts(tmp_path_factory.mktemp("views") / "good", 4))


@pytest.mark.parametrize(("way", "count"), [("0", 1), ("90", 4), ("free", 8)])
def test_views_are_the_same_every_time(images: ImageSet, way: str, count: int) -> None:
    """The part as it lies comes first; every angle follows from the seed."""
    first, again = (list(Views(images, Area(SPEC), way, 3).taught(1)) for _ in range(2))
    assert len(first) == Views(images, Area(SPEC), way, 3).count == count
    np.testing.assert_array_equal(first[0].exposure, images.load(1))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.exposure, other.exposure)
    ways = {Views(images, Area(SPEC), way, 3).held_out(index).exposure.tobytes() for index in range(4)}
    assert len(ways) == 4


@pytest.mark.parametrize("degrees", [90.0, 33.0])
def test_what_the_frame_did_not_hold_is_neither_taught_nor_scored(degrees: float) -> None:
    """Corners and sides that a turn leaves empty are not real, however plausible the continued edge looks."""
    _, real = rotate(draw_part(1), degrees, (63.5, 47.5))
    turned, _ = rotate(np.full(FRAME, 255, np.uint8), degrees, (63.5, 47.5))
    assert not real[0, 0]
    assert real[48, 64]
    assert real.mean() < 0.9
    assert turned.min() == 255


@pytest.mark.parametrize("way", ["90", "free"])
def test_nothing_from_outside_the_mask_turns_into_it(tmp_path: Path, way: str) -> None:
    """Two frames that differ outside the mask alone become the same turned frames within it."""
    mask = np.zeros(FRAME, np.bool_)
    mask[30:60, 20:110] = True
    area = Area(dataclasses.replace(SPEC, mask="mask.png"), mask)
    one = draw_part(5)
    other = np.random.default_rng(0).integers(0, 256, one.shape, dtype=np.uint8)
    other[mask] = one[mask]
    looks = []
    for name, frame in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.png").write_bytes(encode_png(frame))
        looks.append(list(Views(survey(tmp_path / name), area, way, 0).taught(0))[1:])
    for left, right in zip(*looks, strict=True):
        np.testing.assert_array_equal(left.exposure, right.exposure)
        assert left.within is not None
        assert (left.within & mask).any()


@pytest.mark.parametrize(
    ("frame_px", "region", "tiles"),
    [
        ((2160, 3840), None, Tiles(5, 9, 0.1)),
        ((2160, 3840), (100, 100, 1000, 500), Tiles(1, 3, 0.1)),
        ((480, 500), None, None),
    ],
)
def test_automatic_tiles(
    frame_px: tuple[int, int], region: tuple[int, int, int, int] | None, tiles: Tiles | None
) -> None:
    """As many as keep every tile within twice the input; the whole frame where one is enough. It says which."""
    first = np.zeros((*frame_px, 3), np.uint8)
    area = resolve_area(AreaOptions(tiles="auto"), input_spec(256, 256, region), first)
    assert area.spec.tiles == tiles
    assert "shrunk 2.0×" in area.notices[0] or "shrunk 1." in area.notices[0]


def test_too_few_tiles_are_told() -> None:
    """A grid that shrinks its tiles by more than two is taken, with a word of caution."""
    area = resolve_area(AreaOptions(tiles="2x2"), input_spec(256, 256, None), np.zeros((2160, 3840, 3), np.uint8))
    assert area.spec.tiles == Tiles(2, 2, 0.1)
    assert "lose small marks" in area.notices[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (AreaOptions(tiles="many"), "--tiles"),
        (AreaOptions(tiles="0x3"), "--tiles"),
        (AreaOptions(tiles="3x33"), "--tiles"),
        (AreaOptions(tiles="auto", overlap=0.6), "--tile-overlap"),
    ],
)
def test_impossible_options_are_refused(options: AreaOptions, said: str) -> None:
    """Before any image is read."""
    with pytest.raises(ConfigError, match=said):
        options.check()


def test_a_mask_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """No file, compressed with loss, of other proportions, black, or black within the region: each says so."""
    lossy = tmp_path / "mask.jpg"
    lossy.write_bytes(encode_jpeg(disc_mask(), 90))
    for path, said in ((tmp_path / "none.png", "no file"), (lossy, "loss")):
        with pytest.raises(ConfigError, match=said):
            AreaOptions(mask=path).check()
    first = draw_part(1)
    bad = {
        "proportions": (disc_mask(96, 96), None),
        "black everywhere": (np.zeros(FRAME, np.uint8), None),
        "nothing of the inspected region": (disc_mask(), (0, 0, 10, 10)),
    }
    for said, (mask, region) in bad.items():
        path = write_mask(tmp_path / "mask.png", mask)
        with pytest.raises(ConfigError, match=said):
            resolve_area(AreaOptions(mask=path), input_spec(32, 32, region), first)


def test_planted_defects_are_where_something_is_inspected() -> None:
    """Whatever the mask: golden images of a ring's hole would prove nothing."""
    mask = disc_mask() > 0
    mask[30:66, 40:88] = False
    area = Area(dataclasses.replace(SPEC, mask="mask.png"), mask)
    frame = draw_part(3)
    for seed in range(40):
        assert (area.plant(frame, seed, seed) != frame).any(axis=2)[mask].any()
