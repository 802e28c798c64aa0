from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from altered_engine import AlteredGraph
from tiny_backbone import write_backbone, write_parts

from edge_convert.agreement import compare_engines
from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.coreset import greedy_coreset
from edge_convert.draft import PatchCoreParts
from edge_convert.exact_search import SearchPayloads, build_search
from edge_convert.features import FeatureExtractor, input_spec
from edge_convert.graphs import build_features
from edge_convert.images import survey
from edge_convert.teaching.area import Area
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.images import ImageSet
    from edge_runtime.engine.port import Engine, Graph

SETTINGS = EngineSettings(name="onnxruntime", threads=1)


class DistortedEngine:
    """Another engine, which misreads graphs by a gain, or cannot load them (gain 0)."""

    name = "other"
    description = "distorted"

    def __init__(self, gain: float) -> None:
        self._engine: Engine = engines.create(SETTINGS)
        self._gain = gain

    def load(self, model: bytes) -> Graph:
        """See the port."""
        if not self._gain:
            raise EngineError("an operator is not known", "choose another engine")
        return AlteredGraph(self._engine.load(model), self._gain)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Eight drawn parts."""
    return survey(write_parts(tmp_path / "good", 8))


@pytest.fixture
def taught(tmp_path: Path, images: ImageSet) -> tuple[PatchCoreParts, SearchPayloads]:
    """The graphs of a small bundle."""
    backbone = load_backbone(write_backbone(tmp_path / "b.onnx"), 64, 64)
    graph = build_features(backbone, choose_layers(backbone, ()))
    spec = input_spec(64, 64, None)
    model = graph.model.SerializeToString()
    parts = PatchCoreParts("part", "1", "2026-01-01T00:00:00Z", Area(spec), model, graph.grid_height, graph.grid_width)
    extractor = FeatureExtractor(engines.create(SETTINGS).load(model), spec)
    rows = np.concatenate([extractor.patches(images.load(index)) for index in range(len(images.files))])
    return parts, build_search(rows[greedy_coreset(rows, 60, 0)], graph.grid_height * graph.grid_width)


@pytest.mark.parametrize("gain", [1.0, 1.001])
def test_an_engine_that_agrees_binds_nothing(
    taught: tuple[PatchCoreParts, SearchPayloads], images: ImageSet, gain: float
) -> None:
    """Scores within rounding on another engine: the bundle may run on any, and that engine widens the tolerances."""
    parts, search = taught
    engine = engines.create(SETTINGS)
    found = compare_engines(parts, search, parts.detector(search, engine), engine.name, [DistortedEngine(gain)], images)
    assert (len(found.detectors), found.engines, found.warnings) == (1, (), ())


@pytest.mark.parametrize(
    ("gain", "word"), [(1.3, "differ by up to"), (0.0, "an operator is not known"), (float("nan"), "differ by")]
)
def test_an_engine_that_departs_is_shut_out(
    taught: tuple[PatchCoreParts, SearchPayloads], images: ImageSet, gain: float, word: str
) -> None:
    """Another engine with other scores, NaN or none at all: the bundle asks for the engine it was taught on, loudly."""
    parts, search = taught
    engine = engines.create(SETTINGS)
    found = compare_engines(parts, search, parts.detector(search, engine), engine.name, [DistortedEngine(gain)], images)
    assert found.detectors == ()
    assert found.engines == ("onnxruntime",)
    assert word in found.warnings[0]
