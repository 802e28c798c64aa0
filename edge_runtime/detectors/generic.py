"""Any ONNX graph that answers with an anomaly map, a score, or both: what anomalib exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.single_graph import SingleGraph
from edge_runtime.detectors.wiring import require_exposures

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detection
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine
    from edge_runtime.vision.cutting import Inspected


class GenericDetector:
    """Runs the graph and believes it.

    The bundle's `outputs` say which graph output is the `anomaly_map` and which the `score`: `anomaly_map` and
    `pred_score` in anomalib 2.x exports, `output` for the map in 1.x. Shapes and parameters: see `SingleGraph`;
    `exposures` (default 1; with more, the worst exposure decides).
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load the graph; raises as `SingleGraph` does."""
        self._bundle = bundle
        self._graph = SingleGraph(bundle, payloads, engine)

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        require_exposures(self._bundle, exposures)
        return worst_of([self.look(exposure) for exposure in exposures])

    def look(self, exposure: Exposure, inspected: Inspected | None = None) -> Detection:
        """See `WholeDetector`."""
        return self._graph.inspect(exposure, inspected)
