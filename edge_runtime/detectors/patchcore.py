"""PatchCore (Roth et al. 2022, arXiv 2106.08265)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.patchcore_map import create_drawer
from edge_runtime.detectors.patchcore_search import create_search
from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.wiring import (
    load_graph,
    require_exposures,
    require_input,
    require_output,
    whole_parameter,
)
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.domain.inspection import DeferredMap
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine
    from edge_runtime.vision.cutting import Inspected


class PatchCoreDetector:
    """Distance of each patch of the feature grid to the memory bank.

    `features` takes the prepared image and gives `patches`, float32 [P, C] with P = grid_height · grid_width in row
    order. How the bank is searched: see `patchcore_search`.

    Score: the largest patch distance (equation 6); with `neighbours` in the bundle, reweighted by equation 7; times
    `score_scale` plus `score_offset`, in which an imported model's own units are.

    Map: distances on the grid, bilinear to the input size, Gaussian of `map_sigma_px`, or what the graph `map` makes of
    the distances; drawn when it is asked for. The score is taken before both, so the map's maximum is lower than it.

    Parameters: `grid_height`, `grid_width` (required), `map_sigma_px` (default 4, 0 switches smoothing off),
    `score_scale` (default 1, above 0), `score_offset` (default 0), `exposures` (default 1; with more, the worst
    exposure decides).
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load all graphs.

        Raises:
            BundleError: a graph, output or parameter is missing or wrong.
            EngineError: the engine cannot load a graph.
        """
        self._bundle = bundle
        self._grid = (whole_parameter(bundle, "grid_height"), whole_parameter(bundle, "grid_width"))
        self._scale = float(bundle.parameters.get("score_scale", 1.0))
        self._offset = float(bundle.parameters.get("score_offset", 0.0))
        if not self._scale > 0:
            raise BundleError(
                f"bundle {bundle.identity.name}: score_scale = {self._scale} is not above 0", "convert the bundle again"
            )
        self._features = load_graph(bundle, "features", payloads, engine)
        self._image_input = require_input(bundle, self._features)
        self._patches_output = require_output(bundle, "patches", self._features)
        self._search = create_search(bundle, payloads, engine, self._grid[0] * self._grid[1])
        self._drawer = create_drawer(bundle, payloads, engine, self._grid)

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
        height, width = self._grid
        image = prepare(exposure, self._bundle.input_spec)
        patches = self._features.run({self._image_input: image}, [self._patches_output])[self._patches_output]
        if patches.ndim != 2 or patches.shape[0] != height * width:  # noqa: PLR2004  (P×C)
            raise EngineError(
                f"the graph gave {patches.shape[0]} patches for a {height}×{width} grid", "convert the bundle again"
            )
        cells = None if inspected is None else inspected.cells(height, width)
        look = self._search.look(patches, None if cells is None else np.flatnonzero(cells))

        def draw() -> AnomalyMap:
            return self._drawer.draw(look.distances(), inspected)

        return Detection(look.score * self._scale + self._offset, DeferredMap(draw))
