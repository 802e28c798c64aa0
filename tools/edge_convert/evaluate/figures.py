"""From scored images to the figures of an evaluation. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_convert.evaluate import metrics
from edge_convert.evaluate.dataset import GOOD
from edge_convert.evaluate.result import ClassCounts, ImageFigures, Latency, PixelFigures, Share
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.evaluate.dataset import Dataset
    from edge_convert.evaluate.result import ImageRow
    from edge_convert.evaluate.runner import Scored

_PERCENTILES = (50, 90, 99)


def image_figures(rows: Sequence[ImageRow]) -> ImageFigures | None:
    """Image-level figures; None unless good and defective parts both have scores."""
    good, defect = scores_of(rows, defective=False), scores_of(rows, defective=True)
    if not good or not defect:
        return None
    return ImageFigures(
        auroc=metrics.image_auroc(good, defect),
        average_precision=metrics.image_ap(good, defect),
        f1_max=metrics.f1_max(good, defect),
        fnr_at_fpr5=metrics.fnr_at_fpr(good, defect, 0.05),
        roc=metrics.roc_curve(good, defect),
    )


def pixel_figures(scored: Scored, dataset: Dataset, fpr_limit: float) -> tuple[PixelFigures | None, str]:
    """Pixel-level figures, and in words what is missing from them."""
    if not scored.maps_seen:
        return None, "The bundle gives no anomaly map."
    missing = dataset.without_mask()
    note = f"Without a mask and left out: {', '.join(f'{count} {label}' for label, count in missing.items())}."
    if not dataset.has_ground_truth:
        return None, "The dataset has no masks."
    auroc, aupro = scored.pixels.pixel_auroc(), scored.pixels.aupro(fpr_limit)
    if auroc is None or aupro is None:
        return None, "No mask could be used."
    tally = scored.pixels
    return PixelFigures(auroc, aupro, fpr_limit, tally.images, tally.regions), note if missing else ""


def class_counts(rows: Sequence[ImageRow]) -> tuple[ClassCounts, ...]:
    """One line per label, in the order of the rows."""
    good = scores_of(rows, defective=False)
    return tuple(_counts(label, rows, good) for label in dict.fromkeys(row.label for row in rows))


def confusion(classes: Sequence[ClassCounts]) -> dict[str, dict[str, int]]:
    """Images per kind (`good`, `defect`) and outcome (PASS, REVIEW, REJECT, fault)."""
    good = [one for one in classes if one.label == GOOD]
    kinds = {"good": good, "defect": [one for one in classes if one.label != GOOD]}
    return {
        kind: {
            "PASS": sum(one.passed for one in members),
            "REVIEW": sum(one.review for one in members),
            "REJECT": sum(one.reject for one in members),
            "fault": sum(one.faults for one in members),
        }
        for kind, members in kinds.items()
    }


def share(rows: Sequence[ImageRow], dispositions: frozenset[Disposition], *, defective: bool) -> Share | None:
    """Share of the scored good (or defective) parts that got one of these dispositions; None if there are none."""
    chosen = [row.disposition for row in rows if (row.label != GOOD) == defective and row.disposition is not None]
    if not chosen:
        return None
    hits = sum(disposition in dispositions for disposition in chosen)
    return Share(hits, len(chosen), metrics.wilson_interval(hits, len(chosen)))


def latency(rows: Sequence[ImageRow]) -> Latency | None:
    """Percentiles (linear interpolation) over all images that were inspected; None if there are none."""
    times = [row.latency_ms for row in rows if row.latency_ms is not None]
    if not times:
        return None
    p50, p90, p99 = np.percentile(times, _PERCENTILES).tolist()
    return Latency(p50, p90, p99, len(times))


def scores_of(rows: Sequence[ImageRow], *, defective: bool) -> list[float]:
    """Scores of the good, or of all defective, parts that have one."""
    return [row.score for row in rows if row.score is not None and (row.label != GOOD) == defective]


def _counts(label: str, rows: Sequence[ImageRow], good: list[float]) -> ClassCounts:
    own = [row for row in rows if row.label == label]
    scores = [row.score for row in own if row.score is not None]
    found = [row.disposition for row in own]
    return ClassCounts(
        label=label,
        passed=found.count(Disposition.PASS),
        review=found.count(Disposition.REVIEW),
        reject=found.count(Disposition.REJECT),
        faults=found.count(None),
        auroc=metrics.image_auroc(good, scores) if label != GOOD and good and scores else None,
        lowest=min(scores, default=None),
        highest=max(scores, default=None),
    )
