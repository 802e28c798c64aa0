"""PatchCore (Roth et al. 2022, arXiv 2106.08265)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.patchcore_search import create_search
from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.wiring import (
    load_graph,
    require_exposures,
    require_input,
    require_output,
    whole_parameter,
)
from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.inspection import DeferredMap
from edge_runtime.vision.anomaly_map import read_only, smooth, upsample
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine
    from edge_runtime.vision.cutting import Inspected

DEFAULT_MAP_SIGMA_PX = 4.0
"""The paper's, section 3.3."""


class PatchCoreDetector:
    """Distance of each patch of the feature grid to the memory bank.

    `features` takes the prepared image and gives `patches`, float32 [P, C] with P = grid_height · grid_width in row
    order. How the bank is searched: see `patchcore_search`.

    Score: the largest patch distance (equation 6); with `neighbours` in the bundle, reweighted by equation 7.

    Map: distances on the grid, bilinear to the input size, Gaussian of `map_sigma_px`; drawn when it is asked for. The
    score is taken before both, so the map's maximum is lower than the score.

    Parameters: `grid_height`, `grid_width` (required), `map_sigma_px` (default 4, 0 switches smoothing off),
    `exposures` (default 1; with more, the worst exposure decides).
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load all graphs.

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
        self._search = create_search(bundle, payloads, engine, self._grid[0] * self._grid[1])

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
        spec, (height, width) = self._bundle.input_spec, self._grid
        image = prepare(exposure, spec)
        patches = self._features.run({self._image_input: image}, [self._patches_output])[self._patches_output]
        if patches.ndim != 2 or patches.shape[0] != height * width:  # noqa: PLR2004  (P×C)
            raise EngineError(
                f"the graph gave {patches.shape[0]} patches for a {height}×{width} grid", "convert the bundle again"
            )
        cells = None if inspected is None else inspected.cells(height, width)
        look = self._search.look(patches, None if cells is None else np.flatnonzero(cells))

        def draw() -> AnomalyMap:
            grid = np.ascontiguousarray(look.distances().reshape(height, width))
            if cells is not None:
                grid = np.where(cells, grid, np.float32(0))
            anomaly_map = smooth(upsample(grid, spec.height_px, spec.width_px), self._sigma_px)
            if inspected is not None:
                anomaly_map = anomaly_map * inspected.cells(spec.height_px, spec.width_px)
            return read_only(anomaly_map)

        return Detection(look.score, DeferredMap(draw))
