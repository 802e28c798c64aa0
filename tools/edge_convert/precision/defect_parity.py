"""Whether a faster features graph still sees defects: the scores of planted ones, against float32's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.coreset import greedy_coreset
from edge_convert.defects import KINDS, plant_defect
from edge_convert.graphs import IMAGE, PATCHES
from edge_convert.images import spread
from edge_convert.precision.choice import Judgement
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.engine.port import Graph, Tensor

    Floats = npt.NDArray[np.float32]

_BANK_IMAGES: Final = 12
_BANK_SIZE: Final = 500
_PROBES: Final = 30
_MEDIAN_DRIFT_LIMIT: Final = 0.05
_LOWEST_RATIO: Final = 0.8
"""A defect must keep this share of its float32 score; with ranges taken from good images alone it fell to 0.1."""


@dataclass(frozen=True, slots=True)
class Parity:
    """INT8 score divided by float32 score, on images with planted defects."""

    median: float
    lowest: float
    highest: float
    images: int

    @property
    def holds(self) -> bool:
        """Near enough to 1."""
        return abs(self.median - 1) <= _MEDIAN_DRIFT_LIMIT and self.lowest >= _LOWEST_RATIO

    @property
    def judgement(self) -> Judgement:
        """The same for the search."""
        badness = max(abs(self.median - 1) / _MEDIAN_DRIFT_LIMIT, (1 - self.lowest) / (1 - _LOWEST_RATIO))
        return Judgement(self.holds, max(0.0, badness) if np.isfinite(badness) else float("inf"), str(self))

    def __str__(self) -> str:
        return (
            f"INT8/float32 score ratio on {self.images} planted defects: median {self.median:.3f}, "
            f"from {self.lowest:.3f} to {self.highest:.3f}"
        )


class DefectScores:
    """Scores of planted defects on the float32 graph, against which another graph is held as often as asked.

    Both sides are scored against a bank of the same patches, so that only the numbers differ.
    """

    def __init__(self, exact: Graph, images: ImageSet, spec: InputSpec, seed: int, observer: Observer) -> None:
        """Score float32; keeps some forty prepared images.

        Raises:
            ConfigError: the graph gives values that are not finite.
        """
        count = len(images.files)
        banked = spread(count, _BANK_IMAGES)
        with observer.stage("defects in float32", len(banked) + _PROBES) as stage:
            self._banked = []
            for index in banked:
                self._banked.append(prepare(images.load(index), spec))
                stage.advance()
            rows = self._rows(exact)
            if not np.isfinite(rows).all():
                raise ConfigError(
                    "the backbone gives features that are not finite",
                    "Check the file and its normalisation (--mean, --std).",
                )
            self._kept = greedy_coreset(rows, _BANK_SIZE, seed)
            self._probes = []
            for probe in range(_PROBES):
                planted = plant_defect(
                    images.load(probe * 7 % count), seed + 1_000 + probe, probe % len(KINDS), spec.region
                )
                self._probes.append(prepare(planted, spec))
                stage.advance()
        self._reference = self._scores(exact, rows[self._kept])

    def compare(self, fast: Graph) -> Parity:
        """Hold another graph against float32.

        Raises:
            EngineError: it cannot be run.
        """
        scores = self._scores(fast, self._rows(fast)[self._kept])
        ratios = scores[self._reference > 0] / self._reference[self._reference > 0]
        if not ratios.size:
            return Parity(float("nan"), float("nan"), float("nan"), 0)
        return Parity(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), ratios.size)

    def _rows(self, graph: Graph) -> Floats:
        return np.concatenate([_patches(graph, image) for image in self._banked])

    def _scores(self, graph: Graph, bank: Floats) -> npt.NDArray[np.float64]:
        return np.array([_largest_distance(_patches(graph, probe), bank) for probe in self._probes])


def _patches(graph: Graph, image: Tensor) -> Floats:
    return graph.run({IMAGE: image}, [PATCHES])[PATCHES]


def _largest_distance(patches: Floats, bank: Floats) -> float:
    origin = bank.mean(axis=0)
    rows, centres = patches - origin, bank - origin
    squared = np.einsum("ij,ij->i", rows, rows)[:, np.newaxis] - 2 * rows @ centres.T
    squared += np.einsum("ij,ij->i", centres, centres)
    farthest = float(squared.min(axis=1).max())
    return float(np.sqrt(farthest)) if farthest > 0 or np.isnan(farthest) else 0.0
