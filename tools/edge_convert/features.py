"""Patch features through the engine that will run the bundle, and engines that load a graph only once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.graphs import IMAGE, PATCHES
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.cutting import Cutter
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.engine.port import Engine, Graph
    from edge_runtime.vision.mask import Mask


def input_spec(
    height_px: int, width_px: int, region: tuple[int, int, int, int] | None, resize: Resize = Resize.AREA
) -> InputSpec:
    """How a frame reaches the features graph: cropped, resized, still uint8."""
    return InputSpec(
        tensor=IMAGE,
        height_px=height_px,
        width_px=width_px,
        resize=resize,
        colour=ColourOrder.RGB,
        layout=Layout.NHWC,
        dtype="uint8",
        region=region,
    )


class SharedGraphs:
    """An engine that gives the same loaded graph for the same bytes: all folds share one features graph.

    Keeps the newest `keep` graphs.
    """

    def __init__(self, engine: Engine, keep: int = 4) -> None:
        self._engine = engine
        self._keep = keep
        self._graphs: dict[bytes, Graph] = {}

    @property
    def name(self) -> str:
        """See the port."""
        return self._engine.name

    @property
    def description(self) -> str:
        """See the port."""
        return self._engine.description

    def load(self, model: bytes) -> Graph:
        """See the port."""
        key = hashlib.sha256(model).digest()
        graph = self._graphs.pop(key, None) or self._engine.load(model)
        self._graphs[key] = graph
        while len(self._graphs) > self._keep:
            del self._graphs[next(iter(self._graphs))]
        return graph


class FeatureExtractor:
    """Frame → patches, tile by tile as the daemon's detector cuts it.

    Args:
        graph: the features graph.
        spec: the input, with region and tiles.
        mask: the bundle's; None inspects everything.
        grid: rows and columns of the patches; needed where not all of them count.
    """

    def __init__(
        self, graph: Graph, spec: InputSpec, mask: Mask | None = None, grid: tuple[int, int] | None = None
    ) -> None:
        self._graph = graph
        self._cutter = Cutter(spec, mask, paint=True)
        self._whole = replace(spec, region=None, tiles=None, mask=None)
        self._grid = grid

    def patches(self, exposure: Exposure, within: Mask | None = None) -> npt.NDArray[np.float32]:
        """N×C float32: the patches of all tiles that are inspected.

        Args:
            exposure: the frame.
            within: H×W, where its patches count; None: everywhere.

        Raises:
            ImageError: the exposure does not fit the input.
            ConfigError: the backbone gives values that are not finite.
        """
        found = []
        for piece in self._cutter.cut(exposure, within).pieces:
            rows = self._of_piece(piece.pixels)
            if piece.inspected is not None:
                if self._grid is None:
                    raise AssertionError  # whoever masks knows the grid
                rows = rows[piece.inspected.cells(*self._grid).ravel()]
            found.append(rows)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _of_piece(self, pixels: Exposure) -> npt.NDArray[np.float32]:
        found = self._graph.run({IMAGE: prepare(pixels, self._whole)}, [PATCHES])[PATCHES]
        if not np.isfinite(found).all():
            raise ConfigError(
                "the backbone gives features that are not finite",
                "Check the file and its normalisation (--mean, --std).",
            )
        return found
