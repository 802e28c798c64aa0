"""The detector as the inspect stage sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_runtime.domain.inspection import drawn

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap, MapSource
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.vision.cutting import Inspected


@dataclass(frozen=True, slots=True)
class Detection:
    """Score and map of one part."""

    score: float
    """Higher is more anomalous. NaN or infinite if the graph says so: the decision refuses it."""
    source: MapSource | None
    """The map, or what draws it; None if the model gives only a score."""

    @property
    def anomaly_map(self) -> AnomalyMap | None:
        """H×W float32 at the detector's own resolution, drawn now if it was not yet; None as above.

        Raises:
            EngineError: the engine failed while it was drawn.
        """
        return drawn(self.source)


class Detector(Protocol):
    """A bundle on an engine. One thread at a time; deterministic for the same engine, precision and threads."""

    @property
    def bundle(self) -> ModelBundle:
        """The manifest that it runs."""

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """Look at one part.

        Raises:
            ImageError: number, depth or size of the exposures does not fit the bundle.
            EngineError: the engine failed.
        """


class WholeDetector(Detector, Protocol):
    """A detector that can be given a frame piece by piece."""

    def look(self, exposure: Exposure, inspected: Inspected | None = None) -> Detection:
        """One exposure, of which only `inspected` counts: for the score, and the map is 0 elsewhere.

        Raises:
            ImageError: depth or size does not fit the bundle.
            EngineError: the engine failed.
        """
