from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from detector_graphs import CELL, GRID, SIDE, SPEC, Payloads, features_graph, manifest, search_graph

from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors import create
from edge_runtime.domain.errors import BundleError, EngineError, ImageError
from edge_runtime.domain.model_bundle import DetectorKind
from edge_runtime.engine import create as create_engine

BANK = np.array([[100, 100, 100], [100, 100, 160]])
PARAMETERS = {"grid_height": GRID, "grid_width": GRID, "map_sigma_px": 0.0}
FILES = {"f.onnx": features_graph(), "s.onnx": search_graph(BANK)}
BUNDLE = manifest(
    DetectorKind.PATCHCORE,
    graphs={"features": "f.onnx", "search": "s.onnx"},
    outputs={"patches": "patches", "distances": "distances"},
    parameters=PARAMETERS,
)


@pytest.fixture(params=["onnxruntime", "openvino"])
def engine(request: pytest.FixtureRequest):
    """Both engines."""
    return create_engine(EngineSettings(name=request.param, threads=2))


def part(*defects: tuple[int, int, tuple[int, int, int]]) -> np.ndarray:
    """A part in the bank's first colour; each defect paints one cell (row, column, colour)."""
    pixels = np.full((SIDE, SIDE, 3), 100, np.uint8)
    for row, column, colour in defects:
        pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = colour
    return pixels


def test_a_known_part_scores_zero(engine) -> None:
    """Every patch is in the memory bank."""
    detection = create(BUNDLE, Payloads(FILES), engine).inspect((part((2, 2, (100, 100, 160))),))
    assert detection.score == 0.0
    assert detection.anomaly_map is not None
    assert not detection.anomaly_map.any()


def test_the_score_is_the_largest_distance_to_the_nearest_neighbour(engine) -> None:
    """Two defects at 30 and 50 from the bank: the score is 50, and it is the second vector that is near."""
    defective = part((0, 0, (130, 100, 100)), (3, 1, (130, 140, 160)))
    detection = create(BUNDLE, Payloads(FILES), engine).inspect((defective,))
    assert detection.score == pytest.approx(50.0, rel=1e-6)


def test_the_map_lies_on_the_part(engine) -> None:
    """Bilinear from the grid to the input's size; read-only float32; highest in the defective cell."""
    detection = create(BUNDLE, Payloads(FILES), engine).inspect((part((3, 1, (130, 140, 160))),))
    heat = detection.anomaly_map
    assert heat is not None
    assert heat.shape == (SIDE, SIDE)
    assert heat.dtype == np.float32
    assert not heat.flags.writeable
    grid = np.zeros((GRID, GRID), np.float32)
    grid[3, 1] = 50.0
    np.testing.assert_allclose(heat, cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), atol=1e-4)


def test_smoothing_softens_the_map_and_leaves_the_score(engine) -> None:
    """The score is taken before smoothing; σ is 4 pixels where the manifest is silent."""
    defective = (part((3, 1, (130, 140, 160))),)
    sharp = create(BUNDLE, Payloads(FILES), engine).inspect(defective)
    by_sigma = []
    for parameters in ({"map_sigma_px": 4.0}, {}):
        grid_only = {name: PARAMETERS[name] for name in ("grid_height", "grid_width")}
        soft = create(replace(BUNDLE, parameters=grid_only | parameters), Payloads(FILES), engine).inspect(defective)
        assert soft.score == sharp.score
        assert soft.anomaly_map is not None
        assert sharp.anomaly_map is not None
        assert soft.anomaly_map.max() < sharp.anomaly_map.max() * 0.8
        by_sigma.append(soft.anomaly_map)
    np.testing.assert_array_equal(by_sigma[0], by_sigma[1])


def test_an_imported_model_keeps_its_units_and_draws_its_own_map(engine) -> None:
    """The score is scaled and shifted, the distances go through the graph `map`."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    doubled = helper.make_graph(
        [
            helper.make_node("Add", ["distances", "distances"], ["twice"]),
            helper.make_node("Reshape", ["twice", "plane"], ["heat"]),
        ],
        "map",
        [helper.make_tensor_value_info("distances", TensorProto.FLOAT, [GRID * GRID])],
        [helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, 1, GRID, GRID])],
        [numpy_helper.from_array(np.array([1, 1, GRID, GRID]), "plane")],
    )
    content = helper.make_model(doubled, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    bundle = replace(
        BUNDLE,
        graphs={**BUNDLE.graphs, "map": "map.onnx"},
        parameters={**PARAMETERS, "score_scale": 0.5, "score_offset": -3.0},
    )
    defective = (part((3, 1, (130, 140, 160))),)
    detection = create(bundle, Payloads({**FILES, "map.onnx": content}), engine).inspect(defective)
    assert detection.score == pytest.approx(22.0, rel=1e-6)
    assert detection.anomaly_map is not None
    assert detection.anomaly_map.shape == (GRID, GRID)
    assert detection.anomaly_map[3, 1] == pytest.approx(100.0, rel=1e-6)
    assert not detection.anomaly_map.flags.writeable


def test_the_same_part_gives_the_same_bits(engine) -> None:
    """Score and map, also from a second detector and after other parts."""
    generator = np.random.default_rng(3)
    parts = [generator.integers(0, 256, (50, 60, 3), dtype=np.uint8) for _ in range(3)]
    first, second = (create(BUNDLE, Payloads(FILES), engine) for _ in range(2))
    runs = [[detector.inspect((pixels,)) for pixels in parts] for detector in (first, second, first)]
    for one, other in ((runs[0], runs[1]), (runs[0], runs[2])):
        for left, right in zip(one, other, strict=True):
            assert left.score == right.score
            assert left.anomaly_map is not None
            assert right.anomaly_map is not None
            assert left.anomaly_map.tobytes() == right.anomaly_map.tobytes()


def test_mono_and_16_bit_frames_are_inspected_by_a_colour_bundle(engine) -> None:
    """The same grey part as mono, as 16-bit mono and as RGB scores the same."""
    detector = create(BUNDLE, Payloads(FILES), engine)
    mono = np.full((SIDE, SIDE), 100, np.uint8)
    mono[:4, :4] = 120
    score = detector.inspect((np.repeat(mono[..., None], 3, axis=2),)).score
    assert score == pytest.approx(np.sqrt(3) * 20, rel=1e-6)
    assert detector.inspect((mono,)).score == score
    assert detector.inspect((mono.astype(np.uint16) * 257,)).score == pytest.approx(score, rel=1e-5)


def test_the_worst_exposure_decides(engine) -> None:
    """With `exposures` = 2 the score is the larger one and the map is the larger one in each pixel."""
    detector = create(replace(BUNDLE, parameters={**PARAMETERS, "exposures": 2}), Payloads(FILES), engine)
    one, other = part((0, 0, (130, 100, 100))), part((3, 1, (130, 140, 160)))
    detection = detector.inspect((one, other))
    assert detection.score == pytest.approx(50.0, rel=1e-6)
    assert detection.anomaly_map is not None
    assert detection.anomaly_map[0, 0] == pytest.approx(30.0, rel=1e-5)
    assert detection.anomaly_map[SIDE - 1, CELL + 1] > 30
    assert not detection.anomaly_map.flags.writeable


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_exposures_is_refused(engine, count: int) -> None:
    """One is expected where the manifest is silent."""
    with pytest.raises(ImageError, match=f"{count} exposure"):
        create(BUNDLE, Payloads(FILES), engine).inspect((part(),) * count)


def test_a_frame_that_does_not_fit_is_refused_and_the_next_is_inspected(engine) -> None:
    """An ImageError for this part, nothing lasting."""
    detector = create(replace(BUNDLE, input_spec=replace(SPEC, region=(8, 8, 16, 16))), Payloads(FILES), engine)
    with pytest.raises(ImageError, match="region"):
        detector.inspect((part(),))
    assert detector.inspect((np.full((40, 40, 3), 100, np.uint8),)).score == 0.0


def test_nan_reaches_the_decision(engine) -> None:
    """A graph that gives NaN gives a NaN score; it does not look like a good part."""
    spec = replace(SPEC, mean=(float("nan"),) * 3)
    detector = create(replace(BUNDLE, input_spec=spec), Payloads(FILES), engine)
    assert not np.isfinite(detector.inspect((part(),)).score)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"graphs": {"features": "f.onnx"}}, "'search'"),
        ({"graphs": {"features": "gone.onnx", "search": "s.onnx"}}, r"gone\.onnx"),
        ({"outputs": {"patches": "patches"}}, "'distances'"),
        ({"outputs": {"patches": "embedding", "distances": "distances"}}, "'embedding'"),
        ({"parameters": {"grid_height": GRID}}, "'grid_width'"),
        ({"parameters": {**PARAMETERS, "grid_width": 0.0}}, "grid_width"),
        ({"parameters": {**PARAMETERS, "grid_width": 2.5}}, "grid_width"),
        ({"parameters": {**PARAMETERS, "score_scale": 0.0}}, "score_scale"),
        ({"graphs": {**BUNDLE.graphs, "map": "two.onnx"}}, "one of each"),
        ({"input_spec": replace(SPEC, tensor="pixels")}, "'pixels'"),
        ({"graphs": {"features": "f.onnx", "search": "two.onnx"}}, "one"),
    ],
)
def test_a_bundle_that_does_not_fit_its_graphs_is_refused_at_loading(engine, change, said: str) -> None:
    """Before the first part; the message names what is wrong."""
    from onnx import helper, load_from_string  # noqa: PLC0415

    two = load_from_string(FILES["s.onnx"])
    two.graph.input.append(helper.make_tensor_value_info("extra", 1, [1]))
    two.graph.node.append(helper.make_node("Add", ["distances", "extra"], ["more"]))
    two.graph.output.append(helper.make_tensor_value_info("more", 1, [GRID * GRID]))
    with pytest.raises(BundleError, match=said) as caught:
        create(replace(BUNDLE, **change), Payloads({**FILES, "two.onnx": two.SerializeToString()}), engine)
    assert caught.value.action


def test_a_grid_that_the_graphs_do_not_have_is_an_engine_error(engine) -> None:
    """16 patches are not 5×4 cells: no map is invented."""
    detector = create(replace(BUNDLE, parameters={**PARAMETERS, "grid_height": 5}), Payloads(FILES), engine)
    with pytest.raises(EngineError, match="5×4"):
        detector.inspect((part(),))


def test_both_engines_agree() -> None:
    """Within float32's rounding, on random parts."""
    generator = np.random.default_rng(11)
    parts = [generator.integers(0, 256, (33, 47, 3), dtype=np.uint8) for _ in range(5)]
    scores = [
        [create(BUNDLE, Payloads(FILES), create_engine(EngineSettings(name=name))).inspect((p,)).score for p in parts]
        for name in ("onnxruntime", "openvino")
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)


def test_a_search_graph_that_swallows_nan_cannot_make_a_broken_part_pass(engine) -> None:
    """Distances of 0 for everything, as a ReLU makes of NaN, do not hide that the features were NaN."""
    from onnx import helper, load_from_string, numpy_helper  # noqa: PLC0415

    blind = load_from_string(FILES["s.onnx"])
    blind.graph.node[-1].output[0] = "real"
    blind.graph.initializer.append(numpy_helper.from_array(np.zeros(GRID * GRID, np.float32), "zeros"))
    blind.graph.node.append(helper.make_node("Where", ["never", "real", "zeros"], ["distances"]))
    blind.graph.initializer.append(numpy_helper.from_array(np.zeros(GRID * GRID, bool), "never"))
    files = {**FILES, "s.onnx": blind.SerializeToString()}
    broken = replace(BUNDLE, input_spec=replace(SPEC, mean=(float("nan"), 0.0, 0.0)))
    assert create(BUNDLE, Payloads(files), engine).inspect((part((0, 0, (1, 1, 1))),)).score == 0.0
    assert np.isnan(create(broken, Payloads(files), engine).inspect((part(),)).score)
