from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from altered_engine import QUANTIZED, AlteredGraph, PacedEngine
from tiny_backbone import write_backbone, write_parts

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.features import SharedGraphs, input_spec
from edge_convert.graphs import build_features
from edge_convert.images import survey
from edge_convert.precision.features import FeaturesChooser, float_features
from edge_convert.precision.probe_parity import Parity, ProbeScores
from edge_convert.progress import Silent
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.graphs import FeatureGraph
    from edge_convert.images import ImageSet
    from edge_runtime.engine.port import Graph

SPEC = input_spec(64, 64, None)
SETTINGS = EngineSettings(name="onnxruntime", threads=1)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Twelve drawn parts."""
    return survey(write_parts(tmp_path / "good", 12))


@pytest.fixture
def graph(tmp_path: Path) -> FeatureGraph:
    """Features of the tiny backbone at 64×64."""
    backbone = load_backbone(write_backbone(tmp_path / "b.onnx"), 64, 64)
    return build_features(backbone, choose_layers(backbone, ()))


def test_int8_is_taken_where_it_is_faster_and_true(images: ImageSet, graph: FeatureGraph) -> None:
    """Quantized to U8S8 QDQ, the scores of planted defects stay near float32's, and the faster graph is taken."""
    clock = SimulatedClock()
    engine = PacedEngine(engines.create(SETTINGS), clock, int8_ms=2, fp32_ms=5)
    choice = FeaturesChooser(graph, images, SPEC, engine, clock, Silent(), seed=0).choose()
    assert (choice.precision, choice.warnings) == ("int8", ())
    assert (choice.int8_ms, choice.fp32_ms) == (2.0, 5.0)
    assert choice.parity is not None
    assert 0.95 < choice.parity.median < 1.05
    assert choice.parity.lowest > 0.8
    assert QUANTIZED in choice.model


@pytest.mark.parametrize(
    ("int8_ms", "gain", "word"), [(5, 1.0, "not faster"), (9, 1.0, "not faster"), (2, 0.7, "does not keep parity")]
)
def test_otherwise_float32_stays_with_a_warning(
    images: ImageSet, graph: FeatureGraph, int8_ms: int, gain: float, word: str
) -> None:
    """INT8 that is no faster here, or that shrinks the scores of defects, is refused, and the warning says why."""
    clock = SimulatedClock()
    engine = PacedEngine(engines.create(SETTINGS), clock, int8_ms=int8_ms, fp32_ms=5, int8_gain=gain)
    choice = FeaturesChooser(graph, images, SPEC, engine, clock, Silent(), seed=0).choose()
    assert choice.precision == "fp32"
    assert word in choice.warnings[-1]
    assert b"QuantizeLinear" not in choice.model


def test_no_int8_asks_for_nothing(graph: FeatureGraph) -> None:
    """With --no-int8 nothing is quantized, compared or warned of."""
    choice = float_features(graph)
    assert (choice.precision, choice.parity, choice.warnings) == ("fp32", None, ())
    assert choice.model == graph.model.SerializeToString()


def test_a_choice_that_missed_is_made_nearer_to_float32(images: ImageSet, graph: FeatureGraph) -> None:
    """Asked again, the chooser holds its probes to what the finished bundle needs: more stays in float32, or all."""
    clock = SimulatedClock()
    chooser = FeaturesChooser(
        graph, images, SPEC, PacedEngine(engines.create(SETTINGS), clock, int8_ms=2, fp32_ms=5), clock, Silent(), seed=0
    )
    first = chooser.choose()
    assert first.precision == "int8"
    again = chooser.choose_nearer(3.0)
    assert again.precision == "fp32" or len(again.kept) > len(first.kept)
    assert chooser.choose_nearer(1e9).precision == "fp32"


@pytest.mark.parametrize(("median", "lowest", "holds"), [(1.0, 0.9, True), (1.0, 0.79, False), (0.94, 0.9, False)])
def test_parity_looks_at_the_worst_defect_too(median: float, lowest: float, holds: object) -> None:
    """A good median does not excuse one defect that has lost a fifth of its score; NaN never holds."""
    assert Parity(median, lowest, 1.02, 30).holds is holds
    assert not Parity(float("nan"), float("nan"), float("nan"), 0).holds


def test_good_parts_judge_too(images: ImageSet, graph: FeatureGraph) -> None:
    """A graph that keeps every defect's score but moves those of good parts by a part of their spread does not hold."""
    exact = engines.create(SETTINGS).load(graph.model.SerializeToString())
    scores = ProbeScores(exact, survey(write_parts(images.folder.parent / "more", 24)), SPEC, 0, Silent())
    same = scores.compare(exact)
    assert same.good_drift == pytest.approx(0, abs=1e-6)
    assert same.holds
    assert same.swapped == 0
    far = scores.compare(AlteredGraph(exact, 1.04))
    assert far.median == pytest.approx(1.04, rel=1e-3)
    assert 0.1 < (far.good_drift or 0) < 0.25
    assert (far.swapped or 0) > 0.02
    assert not far.holds
    assert dataclasses.replace(far, swapped=0.01).holds
    assert not dataclasses.replace(far, swapped=0.01, good_drift=0.26).holds
    assert "good parts drift by" in str(far)


def test_shared_graphs_are_loaded_once() -> None:
    """The same bytes give the same loaded graph; the oldest goes when there are too many."""
    loaded: list[bytes] = []

    class Counting:
        name = "onnxruntime"
        description = ""

        def load(self, model: bytes) -> Graph:
            loaded.append(model)
            return object()  # type: ignore[return-value]

    shared = SharedGraphs(Counting(), keep=2)
    first = shared.load(b"a")
    assert shared.load(b"a") is first
    shared.load(b"b")
    shared.load(b"c")
    assert shared.load(b"a") is not first
    assert loaded == [b"a", b"b", b"c", b"a"]
