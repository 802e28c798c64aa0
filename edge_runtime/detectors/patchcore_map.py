"""From the distances of PatchCore's patches to its anomaly map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_runtime.detectors.single_graph import plane_of
from edge_runtime.detectors.wiring import load_graph
from edge_runtime.domain.errors import BundleError
from edge_runtime.vision.anomaly_map import read_only, smooth, upsample

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine
    from edge_runtime.vision.cutting import Inspected

    Floats = npt.NDArray[np.float32]

DEFAULT_MAP_SIGMA_PX = 4.0
"""The paper's, section 3.3."""


class MapDrawer(Protocol):
    """Draws maps."""

    def draw(self, distances: Floats, inspected: Inspected | None) -> AnomalyMap:
        """The map at the input's size, 0 where nothing is inspected.

        Args:
            distances: P, in row order.
            inspected: what counts; None: everything.

        Raises:
            EngineError: the engine failed.
        """


def create_drawer(bundle: ModelBundle, payloads: PayloadReader, engine: Engine, grid: tuple[int, int]) -> MapDrawer:
    """By the bundle's own graph `map`, if it has one.

    Raises:
        BundleError: the graph is none of one input and one output.
        EngineError: the engine cannot load it.
    """
    return MapGraph(bundle, payloads, engine) if "map" in bundle.graphs else GridMap(bundle, grid)


class GridMap:
    """Distances on the grid, bilinear to the input size, Gaussian of `map_sigma_px`."""

    def __init__(self, bundle: ModelBundle, grid: tuple[int, int]) -> None:
        spec = bundle.input_spec
        self._grid = grid
        self._size_px = (spec.height_px, spec.width_px)
        self._sigma_px = float(bundle.parameters.get("map_sigma_px", DEFAULT_MAP_SIGMA_PX))

    def draw(self, distances: Floats, inspected: Inspected | None) -> AnomalyMap:
        """See `MapDrawer`."""
        grid = np.ascontiguousarray(distances.reshape(self._grid))
        if inspected is not None:
            grid = np.where(inspected.cells(*self._grid), grid, np.float32(0))
        anomaly_map = smooth(upsample(grid, *self._size_px), self._sigma_px)
        if inspected is not None:
            anomaly_map = anomaly_map * inspected.cells(*self._size_px)
        return read_only(anomaly_map)


class MapGraph:
    """`map` has one input, the distances, float32 [P], and one output, the map as the imported model draws it."""

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load it; raises as `create_drawer` does."""
        self._graph = load_graph(bundle, "map", payloads, engine)
        inputs, outputs = ([info.name for info in infos] for infos in (self._graph.inputs, self._graph.outputs))
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(
                f"the map graph of bundle {bundle.identity.name} has the inputs {inputs} and the outputs {outputs}, it "
                "should have one of each",
                "convert the bundle again",
            )
        self._input, self._output = inputs[0], outputs[0]

    def draw(self, distances: Floats, inspected: Inspected | None) -> AnomalyMap:
        """See `MapDrawer`."""
        plane = plane_of(self._graph.run({self._input: distances}, [self._output])[self._output])
        return read_only(plane if inspected is None else np.where(inspected.cells(*plane.shape), plane, 0))
