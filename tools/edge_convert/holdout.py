"""Scores of good parts that the memory bank has not seen: what the limits are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.coreset import greedy_coreset
from edge_convert.limits import needed_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edge_convert.coreset import CandidatePatches, CoresetSize
    from edge_convert.draft import PatchCoreParts
    from edge_convert.progress import Observer
    from edge_convert.teaching.views import Views
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.engine.port import Engine

_SMALL_SET: Final = 50
_SHARE_OF_SMALL: Final = 0.1
_SHARE: Final = 0.2
_MAP_HEADROOM: Final = 2.0
"""The highest that good parts reach is drawn at half of the colour scale, so that defects have colours of their own."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Images that are held out together."""

    images: tuple[int, ...]
    bank: npt.NDArray[np.intp]
    """Which candidate patches of the other images make the bank that they are scored against."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the held-out parts gave."""

    scores: tuple[float, ...]
    """Ascending."""
    map_range: tuple[float, float]
    method: str
    by_image: dict[int, float] = field(default_factory=dict)
    """Image → its score."""
    folds: tuple[Fold, ...] = ()
    """Against what they were scored."""


def plan_folds(images: int, rate: float, share: float | None, seed: int) -> list[list[int]]:
    """Which images are held out together, each fold in its turn.

    One fold is enough where a share alone supports the rate twice over; otherwise every image is held out once, so that
    few images give as many scores as there are.

    Args:
        images: number of images, at least two.
        rate: false-reject rate.
        share: of the images held out at a time, 0 < share ≤ 0.5; None: 0.1 of fewer than 50, else 0.2.
        seed: of the shuffle.
    """
    if share is None:
        share = _SHARE_OF_SMALL if images < _SMALL_SET else _SHARE
    order = [int(index) for index in np.random.default_rng(seed).permutation(images)]
    size = max(1, round(images * share))
    if size >= 2 * needed_count(rate):
        return [sorted(order[:size])]
    folds = min(images, max(2, round(1 / share)))
    return [sorted(order[start::folds]) for start in range(folds)]


def make_folds(
    candidates: CandidatePatches,
    coreset: CoresetSize,
    held: Sequence[Sequence[int]],
    count: int,
    patches: int,
    seed: int,
) -> tuple[Fold, ...]:
    """Choose a bank without each group of images.

    Args:
        candidates: patches of all images.
        coreset: how large a bank is.
        held: groups of images.
        count: images in all.
        patches: of one image, in all its views.
        seed: of the choice.
    """
    folds = []
    for images in held:
        numbers = candidates.numbers_without(images)
        size = coreset.of((count - len(images)) * patches)
        folds.append(Fold(tuple(images), numbers[greedy_coreset(candidates.rows_at(numbers), size, seed)]))
    return tuple(folds)


def score_folds(
    parts: PatchCoreParts,
    rows: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.float32]],
    folds: tuple[Fold, ...],
    views: Views,
    engine: Engine,
    observer: Observer,
) -> HeldOut:
    """Score each fold with the daemon's own detector against the bank that was made without it.

    A bank made of fewer images lies a little farther from new parts than the final one, so these scores are on the safe
    side.

    Args:
        parts: the features graph, in any precision.
        rows: numbers of candidates → what that graph makes of these patches, N×C.
        folds: images, and banks by number.
        views: how the parts of the images lie.
        engine: runs the detector.
        observer: who watches.
    """
    scores: dict[int, float] = {}
    medians: list[float] = []
    peaks: list[float] = []
    with observer.stage("scoring held-out good parts", sum(len(fold.images) for fold in folds)) as stage:
        for fold in folds:
            detector = parts.viewer(parts.search(rows(fold.bank)), engine)
            for index in fold.images:
                detection = detector.look(*views.held_out(index))
                scores[index] = detection.score
                if detection.anomaly_map is not None:
                    medians.append(_middle(detection.anomaly_map))
                    peaks.append(float(np.max(detection.anomaly_map)))
                stage.advance()
    count = len(views.images.files)
    method = (
        f"{len(scores)} of {count} images held out once"
        if len(folds) == 1
        else f"{len(folds)}-fold: each of {count} images held out once"
    )
    return HeldOut(tuple(sorted(scores.values())), heatmap_range(medians, peaks), method, scores, folds)


def heatmap_range(medians: Sequence[float], peaks: Sequence[float]) -> tuple[float, float]:
    """Map values for 0 % and 100 % of the colours, from the maps of good parts: their medians and their highest values.

    Without maps it is 0…2.
    """
    low, peak = (float(np.median(medians)), float(np.quantile(peaks, 0.99))) if medians else (0.0, 1.0)
    return low, low + _MAP_HEADROOM * max(peak - low, 1e-6)


def _middle(anomaly_map: AnomalyMap) -> float:
    """Median of what was inspected: elsewhere the map is 0."""
    inspected = anomaly_map[anomaly_map != 0]
    return float(np.median(inspected)) if inspected.size else 0.0
