"""PatchCore (Roth et al. 2022, arXiv 2106.08265)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.wiring import (
    load_graph,
    require_exposures,
    require_input,
    require_output,
    whole_parameter,
)
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.vision.anomaly_map import read_only, smooth, upsample
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine, Tensor
    from edge_runtime.vision.cutting import Inspected

DEFAULT_MAP_SIGMA_PX = 4.0
"""The paper's, section 3.3."""


class PatchCoreDetector:
    """Distance of each patch of the feature grid to the memory bank.

    Graphs: `features` takes the prepared image and gives `patches`, float32 [P, C] with P = grid_height · grid_width
    in row order; `search` has one input, those patches, and gives `distances`, float32 [P]: the Euclidean distance of
    each patch to the nearest vector of the memory bank, which is a constant inside that graph.

    Score: the largest patch distance (equation 6). The paper's reweighting by the neighbours of the nearest vector
    (equation 7) is left out: it costs a second search per part and makes the score depend on the bank's local density.

    Map: distances on the grid, bilinear to the input size, Gaussian of `map_sigma_px`. The score is taken before
    both, so the map's maximum is lower than the score.

    Parameters: `grid_height`, `grid_width` (required), `map_sigma_px` (default 4, 0 switches smoothing off),
    `exposures` (default 1; with more, the worst exposure decides).
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load both graphs.

        Raises:
            BundleError: a graph, output or parameter is missing or wrong.
            EngineError: the engine cannot load a graph.
        """
        self._bundle = bundle
        self._grid = (whole_parameter(bundle, "grid_height"), whole_parameter(bundle, "grid_width"))
        self._sigma_px = float(bundle.parameters.get("map_sigma_px", DEFAULT_MAP_SIGMA_PX))
        self._features = load_graph(bundle, "features", payloads, engine)
        self._image_input = require_input(bundle, self._features)
        self._patches_output = require_output(bundle, "patches", self._features)
        self._search = load_graph(bundle, "search", payloads, engine)
        self._distances_output = require_output(bundle, "distances", self._search)
        inputs = [info.name for info in self._search.inputs]
        if len(inputs) != 1:
            raise BundleError(
                f"the search graph of bundle {bundle.identity.name} has the inputs {inputs}, it should have one",
                "convert the bundle again",
            )
        self._patches_input = inputs[0]

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        require_exposures(self._bundle, exposures)
        return worst_of([self.look(exposure) for exposure in exposures])

    def look(self, exposure: Exposure, inspected: Inspected | None = None) -> Detection:
        """See `WholeDetector`; a patch counts if any pixel of its cell is inspected."""
        spec = self._bundle.input_spec
        image = prepare(exposure, spec)
        patches = self._features.run({self._image_input: image}, [self._patches_output])[self._patches_output]
        distances = self._distances(patches)
        grid = np.ascontiguousarray(distances.reshape(self._grid))
        if inspected is not None:
            cells = inspected.cells(*self._grid)
            distances, grid = grid[cells], np.where(cells, grid, np.float32(0))
        anomaly_map = smooth(upsample(grid, spec.height_px, spec.width_px), self._sigma_px)
        if inspected is not None:
            anomaly_map = anomaly_map * inspected.cells(spec.height_px, spec.width_px)
        return Detection(float(np.max(distances)), read_only(anomaly_map))

    def _distances(self, patches: Tensor) -> Tensor:
        found = self._search.run({self._patches_input: patches}, [self._distances_output])[self._distances_output]
        height, width = self._grid
        if found.size != height * width or patches.shape[0] != height * width:
            raise EngineError(
                f"the graphs gave {patches.shape[0]} patches and {found.size} distances for a {height}×{width} grid",
                "convert the bundle again",
            )
        distances = found.reshape(-1).astype(np.float32, copy=False)
        finite = np.isfinite(patches)
        if not finite.all():
            # A search graph may swallow NaN (a ReLU before the root makes it distance 0): a broken patch is no match.
            distances = np.where(finite.all(axis=1), distances, np.float32(np.nan))
        return distances
