"""What detectors with one graph share: prepared image in, anomaly map and/or score out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.wiring import load_graph, require_input, require_output
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.domain.inspection import DeferredMap
from edge_runtime.vision.anomaly_map import read_only, smooth
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine, Tensor
    from edge_runtime.vision.cutting import Inspected

_MAP_DIMENSIONS = 2
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class SingleGraph:
    """The graph of role `model` with the outputs `anomaly_map` and `score`, at least one of them.

    Shapes: map [H, W], [1, H, W] or [1, 1, H, W]; score [], [1] or [1, 1]. Without a score it is the largest value of
    the map as the graph gives it; it is NaN where the score or a value of the map is not finite. `map_sigma_px`
    (default 0) smooths the map only, for graphs that do not smooth themselves.
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load the graph.

        Raises:
            BundleError: the graph or both outputs are missing.
            EngineError: the engine cannot load the graph.
        """
        self._spec = bundle.input_spec
        self._sigma_px = float(bundle.parameters.get("map_sigma_px", 0.0))
        self._graph = load_graph(bundle, "model", payloads, engine)
        self._input = require_input(bundle, self._graph)
        roles = [role for role in ("anomaly_map", "score") if role in bundle.outputs]
        if not roles:
            raise BundleError(
                f"bundle {bundle.identity.name} names neither an anomaly_map nor a score output",
                "convert the bundle again",
            )
        self._outputs = {role: require_output(bundle, role, self._graph) for role in roles}

    def inspect(self, exposure: Exposure, inspected: Inspected | None = None) -> Detection:
        """Look at one exposure; with `inspected` the score is the largest value of the map within it.

        Raises:
            ImageError: depth or size does not fit.
            EngineError: the engine failed, or an output has a shape that is not one map or one score.
        """
        results = self._graph.run({self._input: prepare(exposure, self._spec)}, list(self._outputs.values()))
        found = {role: results[name] for role, name in self._outputs.items()}
        raw = plane_of(found["anomaly_map"]) if "anomaly_map" in found else None
        cells = None if inspected is None else inspected.cells(*_present(raw).shape)
        if "score" in found and cells is None:
            score = _single(found["score"])
        else:
            score = float(np.max(_present(raw) if cells is None else _present(raw)[cells]))
        if not _sound(score, raw):
            score = math.nan
        if raw is None:
            return Detection(score, None)
        plane, sigma_px = raw, self._sigma_px

        def draw() -> AnomalyMap:
            shown = smooth(plane, sigma_px)
            return read_only(shown if cells is None else np.where(cells, shown, 0))

        return Detection(score, DeferredMap(draw))


def _sound(score: float, raw: AnomalyMap | None) -> bool:
    """False where the graph met NaN or infinity, even if its score hides that.

    OpenVINO's maximum skips NaN: over a map of nothing else it gives the lowest float32, which would pass any part.
    """
    return abs(score) < _FLOAT32_MAX and (raw is None or bool(np.isfinite(raw).all()))


def plane_of(values: Tensor) -> AnomalyMap:
    """One map, H×W float32, whatever ones stand before.

    Raises:
        EngineError: it has another shape.
    """
    shape = values.shape
    leading = shape[:-_MAP_DIMENSIONS]
    if len(shape) < _MAP_DIMENSIONS or any(side != 1 for side in leading) or values.size == 0:
        raise EngineError(
            f"the anomaly map has the shape {list(shape)}, not one map", "convert the bundle for a batch of one image"
        )
    return np.ascontiguousarray(values.reshape(shape[-_MAP_DIMENSIONS:]), dtype=np.float32)


def _single(values: Tensor) -> float:
    if values.size != 1:
        raise EngineError(
            f"the score has the shape {list(values.shape)}, not one number",
            "convert the bundle for a batch of one image",
        )
    return float(values.reshape(()))


def _present(raw: AnomalyMap | None) -> AnomalyMap:
    if raw is None:
        raise AssertionError  # the constructor requires one of the two outputs
    return raw
