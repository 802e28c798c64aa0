"""EfficientAD and generic graphs: a map, a score, or both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detector_graphs import SIDE, SPEC, Payloads, manifest, map_graph

from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors import create
from edge_runtime.domain.errors import BundleError, EngineError, ImageError
from edge_runtime.domain.model_bundle import DetectorKind
from edge_runtime.engine import create as create_engine

MAP, SCORE = {"anomaly_map": "heat"}, {"score": "grade"}
WHOLE_MAP = [1, 1, SIDE, SIDE]


@pytest.fixture(params=["onnxruntime", "openvino"])
def engine(request: pytest.FixtureRequest):
    """Both engines."""
    return create_engine(EngineSettings(name=request.param, threads=2))


def part(red: int = 200) -> np.ndarray:
    """Dark, with one bright red pixel at (5, 9)."""
    pixels = np.full((SIDE, SIDE, 3), 20, np.uint8)
    pixels[5, 9, 0] = red
    return pixels


def detector_of(engine, kind, graph: bytes, outputs: dict[str, str], **changes):
    """A detector of one graph."""
    bundle = manifest(kind, graphs={"model": "m.onnx"}, outputs=outputs)
    return create(replace(bundle, **changes), Payloads({"m.onnx": graph}), engine)


@pytest.mark.parametrize("map_shape", [[SIDE, SIDE], [1, SIDE, SIDE], WHOLE_MAP])
@pytest.mark.parametrize("score_shape", [[], [1], [1, 1]])
def test_all_shapes_that_exporters_write_are_read(engine, map_shape: list[int], score_shape: list[int]) -> None:
    """The map comes out as H×W, read-only float32; the score is the graph's own."""
    graph = map_graph(map_shape, score_shape)
    detection = detector_of(engine, DetectorKind.GENERIC, graph, MAP | SCORE).inspect((part(),))
    assert detection.score == pytest.approx(2000.0)
    assert detection.anomaly_map is not None
    assert detection.anomaly_map.shape == (SIDE, SIDE)
    assert detection.anomaly_map.dtype == np.float32
    assert not detection.anomaly_map.flags.writeable
    np.testing.assert_array_equal(detection.anomaly_map, part()[..., 0])


def test_without_a_score_output_the_map_gives_it(engine) -> None:
    """The largest value, before smoothing."""
    graph = map_graph(WHOLE_MAP, None)
    plain = detector_of(engine, DetectorKind.GENERIC, graph, MAP).inspect((part(),))
    assert plain.score == 200.0
    soft = detector_of(engine, DetectorKind.GENERIC, graph, MAP, parameters={"map_sigma_px": 2.0}).inspect((part(),))
    assert soft.score == 200.0
    assert soft.anomaly_map is not None
    assert soft.anomaly_map.max() < 100


def test_a_score_alone_is_enough_for_a_generic_graph(engine) -> None:
    """There is no map then."""
    graph = map_graph(WHOLE_MAP, [1])
    detection = detector_of(engine, DetectorKind.GENERIC, graph, SCORE).inspect((part(),))
    assert detection.score == pytest.approx(2000.0)
    assert detection.anomaly_map is None


def test_efficientad_gives_its_map_and_the_maps_maximum(engine) -> None:
    """The paper's score; a score output of the graph wins."""
    bare = detector_of(engine, DetectorKind.EFFICIENTAD, map_graph(WHOLE_MAP, None), MAP).inspect((part(),))
    assert bare.score == 200.0
    graded = detector_of(engine, DetectorKind.EFFICIENTAD, map_graph(WHOLE_MAP, [1]), MAP | SCORE).inspect((part(),))
    assert graded.score == pytest.approx(2000.0)
    assert bare.anomaly_map is not None
    assert bare.anomaly_map[5, 9] == 200.0


def test_efficientad_needs_a_map(engine) -> None:
    """A score alone is no EfficientAD."""
    with pytest.raises(BundleError, match="anomaly_map"):
        detector_of(engine, DetectorKind.EFFICIENTAD, map_graph(WHOLE_MAP, [1]), SCORE)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [({}, "neither"), ({"anomaly_map": "output"}, "'output'"), (MAP | {"score": "pred_score"}, "'pred_score'")],
)
def test_outputs_that_the_graph_lacks_are_refused_at_loading(engine, outputs: dict[str, str], said: str) -> None:
    """The message names the output and what the graph has."""
    with pytest.raises(BundleError, match=said):
        detector_of(engine, DetectorKind.GENERIC, map_graph(WHOLE_MAP, [1]), outputs)


@pytest.mark.parametrize("kind", [DetectorKind.GENERIC, DetectorKind.EFFICIENTAD])
def test_the_worst_exposure_decides_and_their_number_must_fit(engine, kind: DetectorKind) -> None:
    """As with PatchCore."""
    detector = detector_of(engine, kind, map_graph(WHOLE_MAP, None), MAP, parameters={"exposures": 2})
    dull, bright = part(90), np.roll(part(240), 3, axis=0)
    detection = detector.inspect((dull, bright))
    assert detection.score == 240.0
    assert detection.anomaly_map is not None
    assert detection.anomaly_map[5, 9] == 90.0
    assert detection.anomaly_map[8, 9] == 240.0
    with pytest.raises(ImageError, match="1 exposure"):
        detector.inspect((dull,))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("outputs", [MAP, SCORE, MAP | SCORE], ids=["map", "score", "both"])
@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_nan_and_infinity_reach_the_decision(engine, value: float, outputs: dict[str, str], factor: float) -> None:
    """Also where the engine's own maximum skips NaN and answers with the lowest float32, which would pass any part."""
    spec = replace(SPEC, mean=(value, 0.0, 0.0))
    graph = map_graph(WHOLE_MAP, [1], score_factor=factor)
    detection = detector_of(engine, DetectorKind.GENERIC, graph, outputs, input_spec=spec).inspect((part(),))
    assert not np.isfinite(detection.score)


def test_a_batch_of_maps_or_scores_is_refused(engine) -> None:
    """Whose score would it be? Said at the first part, since shapes may be open until then."""
    half = [2, 1, SIDE // 2, SIDE]
    with pytest.raises(EngineError, match="not one map"):
        detector_of(engine, DetectorKind.GENERIC, map_graph(half, None), MAP).inspect((part(),))
    with pytest.raises(EngineError, match="not one number"):
        detector_of(engine, DetectorKind.GENERIC, map_graph(WHOLE_MAP, None), {"score": "heat"}).inspect((part(),))


def test_a_detector_knows_its_bundle(engine) -> None:
    """Records say which model spoke."""
    detector = detector_of(engine, DetectorKind.GENERIC, map_graph(WHOLE_MAP, [1]), SCORE)
    assert detector.bundle.identity.name == "tiny"
