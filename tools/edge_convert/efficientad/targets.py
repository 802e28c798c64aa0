"""What a PDN is to imitate: a backbone's features, run in ONNX Runtime, normalised per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.graphs import IMAGE, PATCHES, build_features
from edge_runtime import engine
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_convert.backbone import Backbone, Layer
    from edge_convert.efficientad.data import Views
    from edge_convert.progress import Observer

    Grid = npt.NDArray[np.float16]

SHRINK: Final = 2
"""The backbone sees the picture at twice the PDN's resolution, so that its stride of 8 meets the PDN's of 4."""


class Targets:
    """Features of the views, C×H×W float16, kept as far as memory allows: the same whether kept or made again."""

    def __init__(
        self, backbone: Backbone, layers: tuple[Layer, ...], views: Views, most: int, threads: int, cache_mb: int
    ) -> None:
        """Load the backbone; if it has more than `most` channels they are averaged down to so many.

        Raises:
            ConfigError: the finest chosen layer has not stride 8.
            EngineError: ONNX Runtime cannot load it.
        """
        graph = build_features(backbone, layers)
        if graph.grid_height != backbone.height_px // 8:
            raise ConfigError(
                f"the finest chosen layer of {backbone.file_name} has {graph.grid_height} rows for "
                f"{backbone.height_px} pixels; a PDN imitates a stride of 8",
                "Choose --layers whose finest has stride 8.",
            )
        self._graph = engine.create(EngineSettings(name="onnxruntime", threads=threads)).load(
            graph.model.SerializeToString()
        )
        self._grid = (graph.grid_height, graph.grid_width)
        self._wide = graph.channels
        self.channels = min(graph.channels, most)
        self._views = views
        self._kept: dict[int, Grid] = {}
        self._room = (cache_mb << 20) // (2 * self.channels * self._grid[0] * self._grid[1])

    def of(self, index: int) -> Grid:
        """Features of view `index`.

        Raises:
            ConfigError: they are not finite, or too large for float16.
        """
        found = self._kept.get(index)
        if found is None:
            found = self._compute(index)
            if len(self._kept) < self._room:
                self._kept[index] = found
        return found

    def statistics(self, observer: Observer, most: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Mean and deviation of each channel over at most `most` views, evenly spread."""
        count = min(most, len(self._views))
        total = np.zeros(self.channels)
        squares = np.zeros(self.channels)
        with observer.stage("features of the backbone", count) as stage:
            for number in range(count):
                grid = self.of(number * len(self._views) // count).astype(np.float64)
                total += grid.mean(axis=(1, 2))
                squares += (grid**2).mean(axis=(1, 2))
                stage.advance()
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        floor = 1e-3 * float(deviation.max()) + 1e-12  # a channel that is nearly always off must not become all noise
        return mean.astype(np.float32), np.maximum(deviation, floor).astype(np.float32)

    def _compute(self, index: int) -> Grid:
        picture = self._views.picture(index)
        patches = self._graph.run({IMAGE: picture[np.newaxis]}, [PATCHES])[PATCHES]
        if self._wide > self.channels:
            patches = narrowed(patches, self.channels)
        with np.errstate(over="ignore"):
            grid = patches.reshape(*self._grid, self.channels).transpose(2, 0, 1).astype(np.float16)
        if not np.isfinite(grid).all():
            raise ConfigError(
                "the backbone gives features that are not finite or exceed 65504",
                "Check the file and its normalisation (--mean, --std).",
            )
        return np.ascontiguousarray(grid)


def narrowed(patches: npt.NDArray[np.float32], channels: int) -> npt.NDArray[np.float32]:
    """Means of neighbouring channels, as PatchCore takes them (adaptive average pooling): N×C → N×channels."""
    edges = np.arange(channels) * patches.shape[1] // channels
    widths = np.diff(np.append(edges, patches.shape[1]))
    return np.asarray(np.add.reduceat(patches, edges, axis=1) / widths, np.float32)
