"""Patch features through the engine that will run the bundle, and engines that load a graph only once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.graphs import IMAGE, PATCHES
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.engine.port import Engine, Graph


def input_spec(height_px: int, width_px: int, region: tuple[int, int, int, int] | None) -> InputSpec:
    """How a frame reaches the features graph: cropped, area-resized, still uint8."""
    return InputSpec(
        tensor=IMAGE,
        height_px=height_px,
        width_px=width_px,
        resize=Resize.AREA,
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
    """Frame → patches."""

    def __init__(self, graph: Graph, spec: InputSpec) -> None:
        self._graph = graph
        self._spec = spec

    def patches(self, exposure: Exposure) -> npt.NDArray[np.float32]:
        """P×C float32.

        Raises:
            ImageError: the exposure does not fit the input.
            ConfigError: the backbone gives values that are not finite.
        """
        found = self._graph.run({IMAGE: prepare(exposure, self._spec)}, [PATCHES])[PATCHES]
        if not np.isfinite(found).all():
            raise ConfigError(
                "the backbone gives features that are not finite",
                "Check the file and its normalisation (--mean, --std).",
            )
        return found
