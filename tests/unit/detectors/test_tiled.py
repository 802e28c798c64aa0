"""Frames tile by tile, and frames of which only a part is inspected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detector_graphs import CELL, GRID, SIDE, SPEC, Payloads, features_graph, manifest, map_graph, search_graph

from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors import create
from edge_runtime.detectors.tiled import TiledDetector
from edge_runtime.domain.errors import BundleError, ImageError
from edge_runtime.domain.model_bundle import DetectorKind, Fit, ModelBundle, Tiles
from edge_runtime.engine import create as create_engine
from edge_runtime.vision.encode import encode_jpeg, encode_png
from edge_runtime.vision.heatmap import overlay
from edge_runtime.vision.tiling import MAP_SIDE_LIMIT_PX

GREY = 128
"""What is painted where the mask is 0."""
BANK = np.array([[100, 100, 100], [GREY, GREY, GREY]])
MARK_160 = float(np.linalg.norm([32, -28, -28]))
"""Distance of a cell whose red is 160 to the nearer of the two: the grey."""
ENGINE = create_engine(EngineSettings(name="onnxruntime", threads=1))
PATCHCORE = manifest(
    DetectorKind.PATCHCORE,
    graphs={"features": "f.onnx", "search": "s.onnx"},
    outputs={"patches": "patches", "distances": "distances"},
    parameters={"grid_height": GRID, "grid_width": GRID, "map_sigma_px": 0.0},
)
GENERIC = manifest(DetectorKind.GENERIC, graphs={"model": "m.onnx"}, outputs={"anomaly_map": "heat", "score": "grade"})
FILES = {
    "f.onnx": features_graph(),
    "s.onnx": search_graph(BANK),
    "m.onnx": map_graph([1, 1, SIDE, SIDE], [1]),
}
TILES = Tiles(rows=2, columns=3)
HEIGHT, WIDTH = 2 * SIDE, 3 * SIDE


def detector_of(bundle: ModelBundle, mask: np.ndarray | bytes | None = None, **spec: object) -> TiledDetector:
    """A detector of the bundle with this mask (an array becomes a PNG) and these changes of its input."""
    content = encode_png(mask) if isinstance(mask, np.ndarray) else mask
    files = FILES if content is None else FILES | {"mask.png": content}
    changed = replace(SPEC, mask=None if content is None else "mask.png", **spec)  # type: ignore[arg-type]
    found = create(replace(bundle, input_spec=changed), Payloads(files), ENGINE)
    assert isinstance(found, TiledDetector)
    return found


def frame(*marks: tuple[int, int, int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A good frame; each mark paints the red of a cell at (row, column) of cells."""
    pixels = np.full((height, width, 3), 100, np.uint8)
    for row, column, red in marks:
        pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL, 0] = red
    return pixels


def left_half(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A mask that inspects the left half."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 255
    return mask


def test_a_mark_that_the_whole_frame_loses_is_found_by_its_tile() -> None:
    """Shrunk as a whole the mark thins out to a sixth; its tile shows it unthinned, and the score is that tile's."""
    marked = frame((5, 9, 160))
    whole = create(PATCHCORE, Payloads(FILES), ENGINE).inspect((marked,)).score
    tiled = detector_of(PATCHCORE, tiles=TILES).inspect((marked,)).score
    assert tiled == pytest.approx(MARK_160, rel=1e-5)
    assert whole < 20


@pytest.mark.parametrize("cell", [(0, 0), (7, 11), (5, 9), (3, 4)])
@pytest.mark.parametrize("bundle", [PATCHCORE, GENERIC], ids=["patchcore", "generic"])
def test_the_stitched_map_lies_on_the_part(bundle: ModelBundle, cell: tuple[int, int]) -> None:
    """Its peak is at the mark, in the region's proportions, read-only float32; so is the glow of a rendered heatmap."""
    row, column = cell
    detector = detector_of(bundle, tiles=replace(TILES, overlap=0.25), region=(10, 6, WIDTH, HEIGHT))
    seen = np.full((HEIGHT + 20, WIDTH + 20, 3), 100, np.uint8)
    seen[6 : 6 + HEIGHT, 10 : 10 + WIDTH] = frame((row, column, 160))
    heat = detector.inspect((seen,)).anomaly_map
    assert heat is not None
    assert heat.dtype == np.float32
    assert not heat.flags.writeable
    assert heat.shape[1] / heat.shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.05)
    peak = np.unravel_index(int(heat.argmax()), heat.shape)
    scale = HEIGHT / heat.shape[0]
    assert abs((peak[0] + 0.5) * scale - (row + 0.5) * CELL) <= CELL
    assert abs((peak[1] + 0.5) * scale - (column + 0.5) * CELL) <= CELL
    picture = overlay(seen, heat, (100.0 if bundle is GENERIC else 0.0, float(heat.max())), (10, 6, WIDTH, HEIGHT))
    glow = np.abs(picture.astype(int) - seen).sum(axis=2)[7 : 5 + HEIGHT, 11 : 9 + WIDTH]
    hottest = np.unravel_index(int(glow.argmax()), glow.shape)
    assert abs(hottest[0] + 1 - (row + 0.5) * CELL) <= CELL
    assert abs(hottest[1] + 1 - (column + 0.5) * CELL) <= CELL


def test_the_map_of_a_large_frame_stays_small() -> None:
    """Its longer side has a limit, whatever the number of tiles and their resolution."""
    detector = detector_of(PATCHCORE, tiles=Tiles(rows=2, columns=30))
    small = detector.inspect((frame(width=30 * SIDE),)).anomaly_map
    assert small is not None
    assert small.shape == (2 * SIDE, 30 * SIDE)
    bundle = replace(
        PATCHCORE, graphs={"model": "wide.onnx"}, outputs={"anomaly_map": "heat"}, kind=DetectorKind.GENERIC
    )
    files = {"wide.onnx": map_graph([1, 1, 1, SIDE * SIDE], None)}
    spec = replace(SPEC, tiles=Tiles(rows=1, columns=8))
    large = create(replace(bundle, input_spec=spec), Payloads(files), ENGINE).inspect((frame(),)).anomaly_map
    assert large is not None
    assert max(large.shape) == MAP_SIDE_LIMIT_PX


def test_a_score_without_a_map_is_the_worst_tile() -> None:
    """Tiles need no map."""
    bundle = replace(GENERIC, outputs={"score": "grade"})
    detection = detector_of(bundle, tiles=TILES).inspect((frame((5, 9, 160)),))
    assert detection.score == pytest.approx(1600.0)
    assert detection.anomaly_map is None


def test_nan_in_one_tile_is_not_hidden_by_the_others() -> None:
    """The score is NaN, which the decision refuses."""
    spec = replace(SPEC, tiles=TILES, mean=(float("nan"),) * 3)
    detector = create(replace(PATCHCORE, input_spec=spec), Payloads(FILES), ENGINE)
    assert np.isnan(detector.inspect((frame(),)).score)


@pytest.mark.parametrize("tiles", [None, TILES], ids=["whole", "tiled"])
def test_nothing_outside_the_mask_reaches_a_patchcore_score(tiles: Tiles | None) -> None:
    """Noise there changes no bit of score and map; the map is 0 there; a mark inside is seen as before."""
    detector = detector_of(PATCHCORE, left_half(), tiles=tiles)
    still = frame((2, 2, 160))
    reference = detector.inspect((still,))
    assert reference.anomaly_map is not None
    assert reference.score > 8
    assert not reference.anomaly_map[:, reference.anomaly_map.shape[1] // 2 + 1 :].any()
    for seed in range(5):
        moving = still.copy()
        moving[:, WIDTH // 2 :] = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH // 2, 3), dtype=np.uint8)
        found = detector.inspect((moving,))
        assert found.score == reference.score
        assert found.anomaly_map is not None
        np.testing.assert_array_equal(found.anomaly_map, reference.anomaly_map)


def test_a_mask_narrows_the_score_of_other_models_to_their_map() -> None:
    """The score is the largest inspected value of the map although the graph has its own, in every tile alike."""
    for tiles in (None, TILES):
        detector = detector_of(GENERIC, left_half(), tiles=tiles)
        outside = detector.inspect((frame((5, 9, 250)),))
        assert outside.score == pytest.approx(100.0)
        assert outside.anomaly_map is not None
        assert outside.anomaly_map.max() == pytest.approx(100.0)
        inside = detector.inspect((frame((5, 9, 250), (0, 0, 160)),))
        assert inside.score > 103


def test_a_mask_may_be_drawn_at_another_scale() -> None:
    """A reduced mask gives what the full one gives."""
    seen = (frame((2, 2, 160), (5, 9, 250)),)
    full, reduced = (detector_of(PATCHCORE, mask) for mask in (left_half(), left_half(HEIGHT // 4, WIDTH // 4)))
    assert full.inspect(seen).score == reduced.inspect(seen).score


def test_a_mask_follows_the_centre_crop() -> None:
    """With a crop the grid covers the frame's middle: a mark that the mask inspects there counts, others do not."""
    mask = np.zeros((32, 32), np.uint8)
    mask[8:12, 8:12] = 1
    detector = detector_of(PATCHCORE, mask, resized_px=(32, 32))
    assert detector.inspect((frame((2, 2, 160), height=32, width=32),)).score == pytest.approx(MARK_160, rel=1e-5)
    assert detector.inspect((frame((3, 3, 160), height=32, width=32),)).score == 0.0


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), "leaves nothing"),
        (np.full((HEIGHT, WIDTH, 3), 255, np.uint8), "no grey PNG"),
        (encode_jpeg(np.full((HEIGHT, WIDTH), 255, np.uint8), 90), "no grey PNG"),
        (b"mask", "no image"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused_at_loading(mask: np.ndarray | bytes, said: str) -> None:
    """Not at the first part."""
    with pytest.raises(BundleError, match=said):
        detector_of(PATCHCORE, mask)


def test_a_frame_that_the_mask_does_not_fit_is_refused_and_the_next_is_inspected() -> None:
    """Other proportions, or with a region another size: an error for this part, nothing lasting."""
    detector = detector_of(PATCHCORE, left_half())
    with pytest.raises(ImageError, match="in proportion"):
        detector.inspect((frame(height=WIDTH, width=HEIGHT),))
    assert detector.inspect((frame(),)).score < 30
    bound = detector_of(PATCHCORE, left_half(), region=(0, 0, 8, 8))
    with pytest.raises(ImageError, match="not those of the 96×64 frame"):
        bound.inspect((frame(height=2 * HEIGHT, width=2 * WIDTH),))
    assert bound.inspect((frame(),)).score == 0.0
    with pytest.raises(ImageError, match="leaves nothing"):
        detector.look(frame(), np.zeros((HEIGHT, WIDTH), np.bool_))


@pytest.mark.parametrize(
    ("region", "said"), [((WIDTH // 2, 0, 8, 8), "leaves nothing"), ((WIDTH - 4, 0, 8, 8), "reaches beyond")]
)
def test_a_region_that_the_mask_leaves_empty_is_refused_at_loading(region: tuple[int, ...], said: str) -> None:
    """With a region the mask has the frame's size, so this is known before the first frame."""
    with pytest.raises(BundleError, match=said):
        detector_of(PATCHCORE, left_half(), region=region)


@pytest.mark.parametrize("kind", [DetectorKind.GENERIC])
def test_a_model_with_only_a_score_cannot_be_masked(kind: DetectorKind) -> None:
    """It says so at loading, which is at conversion."""
    with pytest.raises(BundleError, match="no mask can narrow it"):
        detector_of(replace(GENERIC, kind=kind, outputs={"score": "grade"}), left_half())


@pytest.mark.parametrize("spec", [{"resized_px": (20, 20)}, {"fit": Fit.SHORTER_SIDE}])
def test_tiles_with_a_centre_crop_are_refused(spec: dict[str, object]) -> None:
    """What lies between the cropped tiles would never be seen."""
    with pytest.raises(BundleError, match="crops the middle"):
        detector_of(PATCHCORE, tiles=TILES, **spec)


def test_the_worst_exposure_decides_tile_by_tile() -> None:
    """Two exposures of one part, and only that number."""
    bundle = replace(PATCHCORE, parameters={**PATCHCORE.parameters, "exposures": 2})
    detector = detector_of(bundle, tiles=TILES)
    assert detector.inspect((frame(), frame((5, 9, 160)))).score == pytest.approx(MARK_160, rel=1e-5)
    with pytest.raises(ImageError, match="1 exposure"):
        detector.inspect((frame(),))


def test_frames_of_any_size_in_any_order_give_the_same_bits() -> None:
    """What is kept for a frame size changes nothing; neither does what narrowed the frame before."""
    detector = detector_of(PATCHCORE, left_half(), tiles=TILES)
    small, large = frame((2, 2, 160)), frame((4, 4, 150), height=2 * HEIGHT, width=2 * WIDTH)
    first = [detector.look(pixels).score for pixels in (small, large)]
    within = np.zeros((HEIGHT, WIDTH), np.bool_)
    within[: 2 * CELL] = True
    assert detector.look(small, within).score < first[0]
    assert [detector.look(pixels).score for pixels in (small, large)] == first


@pytest.mark.parametrize("region", [None, (20, 4, 4, 24)])
def test_it_names_a_frame_for_warming_up(region: tuple[int, int, int, int] | None) -> None:
    """A black frame of that size is inspected, whatever mask and region are."""
    for mask in (None, left_half(), left_half(HEIGHT // 8, WIDTH // 8)):
        if region is None or mask is None or mask.shape == (HEIGHT, WIDTH):
            detector = detector_of(PATCHCORE, mask, region=region, tiles=TILES)
            assert np.isfinite(detector.inspect((np.zeros((*detector.frame_px, 3), np.uint8),)).score)
