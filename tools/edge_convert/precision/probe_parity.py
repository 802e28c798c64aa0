"""Whether a faster features graph still gives float32's scores: of planted defects, and of good parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.coreset import greedy_coreset
from edge_convert.defects import KINDS, plant_defect
from edge_convert.graphs import IMAGE, PATCHES
from edge_convert.images import spread
from edge_convert.precision.choice import Judgement
from edge_convert.precision.order import FEWEST_GOOD, SWAPPED_LIMIT, expected_swaps
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.engine.port import Graph, Tensor

    Floats = npt.NDArray[np.float32]

_BANK_IMAGES: Final = 12
_BANK_SIZE: Final = 500
_PROBES: Final = 30
_GOOD_PROBES: Final = 24
_MEDIAN_DRIFT_LIMIT: Final = 0.05
_LOWEST_RATIO: Final = 0.8
"""A defect must keep this share of its float32 score; with ranges taken from good images alone it fell to 0.1."""
_GOOD_DRIFT_LIMIT: Final = 0.25
"""Half of what the finished bundle is held to: a few parts and a small bank only estimate that. 0.35 here became 0.68
of the finished bundle on photographs whose good parts hardly differ."""


@dataclass(frozen=True, slots=True)
class Parity:
    """INT8 score divided by float32 score on images with planted defects, and how far good parts drift."""

    median: float
    lowest: float
    highest: float
    images: int
    good_drift: float | None = None
    """95 % quantile of |INT8 − float32| over good parts, in standard deviations of their float32 scores; None: there
    are too few."""
    swapped: float | None = None
    """Share of the pairs of a good part and a defect that rounding is to be expected to put in another order, which is
    what an AUROC counts; None: there are too few parts."""

    @property
    def holds(self) -> bool:
        """Near enough."""
        return self.judgement.holds

    @property
    def judgement(self) -> Judgement:
        """Within the limits or not, and by how much."""
        shares = (
            abs(self.median - 1) / _MEDIAN_DRIFT_LIMIT,
            (1 - self.lowest) / (1 - _LOWEST_RATIO),
            0.0 if self.good_drift is None else self.good_drift / _GOOD_DRIFT_LIMIT,
            0.0 if self.swapped is None else self.swapped / SWAPPED_LIMIT,
        )
        badness = max(0.0, *shares) if np.isfinite(shares).all() else float("inf")
        return Judgement(badness <= 1, badness, str(self))

    def __str__(self) -> str:
        return (
            f"INT8/float32 score ratio on {self.images} planted defects: median {self.median:.3f}, "
            f"from {self.lowest:.3f} to {self.highest:.3f}"
            + ("" if self.good_drift is None else f"; good parts drift by {self.good_drift:.2f} of their spread")
            + ("" if self.swapped is None else f"; {self.swapped:.1%} of good parts and defects may change their order")
        )


class ProbeScores:
    """Scores of planted defects and good parts on the float32 graph, to hold another graph against as often as asked.

    Both sides are scored against a bank of the same patches, so that only the numbers differ.
    """

    def __init__(self, exact: Graph, images: ImageSet, spec: InputSpec, seed: int, observer: Observer) -> None:
        """Score float32; keeps some seventy prepared images.

        Raises:
            ConfigError: the graph gives values that are not finite.
        """
        count = len(images.files)
        banked = spread(count, min(_BANK_IMAGES, count // 2))
        strangers = [index for index in range(count) if index not in set(banked)]
        good = [strangers[index] for index in spread(len(strangers), _GOOD_PROBES)]
        with observer.stage("probes in float32", len(banked) + _PROBES + len(good)) as stage:

            def prepared(exposure: Exposure) -> Tensor:
                stage.advance()
                return prepare(exposure, spec)

            self._banked = [prepared(images.load(index)) for index in banked]
            rows = self._rows(exact)
            if not np.isfinite(rows).all():
                raise ConfigError(
                    "the backbone gives features that are not finite",
                    "Check the file and its normalisation (--mean, --std).",
                )
            self._kept = greedy_coreset(rows, _BANK_SIZE, seed)
            self._defects = [
                prepared(
                    plant_defect(images.load(probe * 7 % count), seed + 1_000 + probe, probe % len(KINDS), spec.region)
                )
                for probe in range(_PROBES)
            ]
            self._good = [prepared(images.load(index)) for index in good]
        bank = rows[self._kept]
        self._exact_defects = _scores(exact, self._defects, bank)
        self._exact_good = _scores(exact, self._good, bank)

    def compare(self, fast: Graph) -> Parity:
        """Hold another graph against float32.

        Raises:
            EngineError: it cannot be run.
        """
        bank = self._rows(fast)[self._kept]
        defects, good = _scores(fast, self._defects, bank), _scores(fast, self._good, bank)
        told = self._exact_defects > 0
        ratios = defects[told] / self._exact_defects[told]
        if not ratios.size:
            return Parity(float("nan"), float("nan"), float("nan"), 0)
        return Parity(
            float(np.median(ratios)),
            float(ratios.min()),
            float(ratios.max()),
            ratios.size,
            self._drift(good),
            expected_swaps(self._exact_good, self._exact_defects, good, defects),
        )

    def _drift(self, good: npt.NDArray[np.float64]) -> float | None:
        if good.size < FEWEST_GOOD:
            return None
        moved = float(np.quantile(np.abs(good - self._exact_good), 0.95))
        width = float(self._exact_good.std())
        return moved / width if width > 0 else (0.0 if moved == 0 else float("inf"))

    def _rows(self, graph: Graph) -> Floats:
        return np.concatenate([_patches(graph, image) for image in self._banked])


def _scores(graph: Graph, probes: Sequence[Tensor], bank: Floats) -> npt.NDArray[np.float64]:
    return np.array([_largest_distance(_patches(graph, probe), bank) for probe in probes])


def _patches(graph: Graph, image: Tensor) -> Floats:
    return graph.run({IMAGE: image}, [PATCHES])[PATCHES]


def _largest_distance(patches: Floats, bank: Floats) -> float:
    origin = bank.mean(axis=0)
    rows, centres = patches - origin, bank - origin
    squared = np.einsum("ij,ij->i", rows, rows)[:, np.newaxis] - 2 * rows @ centres.T
    squared += np.einsum("ij,ij->i", centres, centres)
    farthest = float(squared.min(axis=1).max())
    return float(np.sqrt(farthest)) if farthest > 0 or np.isnan(farthest) else 0.0
