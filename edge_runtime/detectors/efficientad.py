"""EfficientAD (Batzner et al. 2024, arXiv 2303.14535), as one graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.single_graph import SingleGraph
from edge_runtime.detectors.wiring import require_exposures
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detection
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine
    from edge_runtime.vision.cutting import Inspected


class EfficientAdDetector:
    """Teacher, student and autoencoder in the graph of role `model`.

    Contract: the graph takes the image as `InputSpec` prepares it (ImageNet normalisation may be in the spec or in
    the graph, not in both) and gives `anomaly_map`, float32 [1, 1, H, W]: the mean of the student's and the
    autoencoder's maps, each already normalised by its quantiles (section 3.4: 0 at the 90 % and 0.1 at the 99.5 %
    quantile of good parts), inside the graph. An optional `score` output wins; without it the score is the largest
    value of the map, as in the paper.

    Parameters: `map_sigma_px` (default 0) and `exposures` (default 1; with more, the worst exposure decides).
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load the graph; raises as `SingleGraph` does, and BundleError without an anomaly map."""
        if "anomaly_map" not in bundle.outputs:
            raise BundleError(f"bundle {bundle.identity.name} names no anomaly_map output", "convert the bundle again")
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
