"""Image-level figures from two lists of scores. Pure; higher scores are more anomalous.

Every function takes the scores of the good and of the defective parts (1-D, finite, any real dtype, neither empty) and
raises ValueError otherwise. Equal scores are handled as ties: no figure depends on the order of the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Scores: TypeAlias = npt.NDArray[np.float64]
ScoresLike: TypeAlias = "npt.NDArray[Any] | Sequence[float]"

_Z_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one threshold does: a part counts as defective if its score is above or at it (see each function)."""

    threshold: float
    value: float
    """The figure at this threshold, 0…1."""


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Corners of the ROC, from (0, 0) to (1, 1); one per distinct score, so ties are a slanted edge."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a share, 0…1."""

    low: float
    high: float


def image_auroc(good: ScoresLike, defect: ScoresLike) -> float:
    """Area under the ROC: the chance that a random defect scores above a random good part, ties counting half.

    Mann-Whitney U / (n_good · n_defect) (Hanley & McNeil, Radiology 143, 1982). Counted in integers: exact.
    """
    clean, bad = np.sort(_checked(good, "good")), _checked(defect, "defect")
    twice_u = int(np.searchsorted(clean, bad, "left").sum()) + int(np.searchsorted(clean, bad, "right").sum())
    return twice_u / (2 * clean.size * bad.size)


def image_ap(good: ScoresLike, defect: ScoresLike) -> float:
    """Average precision Σ (Rₙ − Rₙ₋₁)·Pₙ over distinct scores, descending, without interpolation.

    The step sum of Manning et al., Introduction to Information Retrieval, ch. 8, as scikit-learn computes it.
    """
    _, false_positives, true_positives = _counts(good, defect)
    precision = true_positives / (true_positives + false_positives)
    recall_gain = np.diff(true_positives, prepend=0) / true_positives[-1]
    return float(np.sum(recall_gain * precision))


def f1_max(good: ScoresLike, defect: ScoresLike) -> OperatingPoint:
    """Largest F1 = 2TP / (2TP + FP + FN) over all thresholds, with "score ≥ threshold" meaning defective.

    Of equally good thresholds the highest is given. It is chosen on the test images, so it flatters: it compares
    models, it does not promise a line's performance.
    """
    thresholds, false_positives, true_positives = _counts(good, defect)
    f1 = 2 * true_positives / (true_positives + false_positives + true_positives[-1])
    best = int(np.argmax(f1))
    return OperatingPoint(float(thresholds[best]), float(f1[best]))


def fnr_at_fpr(good: ScoresLike, defect: ScoresLike, fpr: float = 0.05) -> OperatingPoint:
    """Share of defects missed at the lowest threshold that flags at most `fpr` of the good parts.

    "score > threshold" means defective, as at the bundle's limits. The threshold is one of the good scores: no
    interpolation between parts that exist, so with fewer than 1/`fpr` good parts it is the largest good score.
    """
    clean, bad = np.sort(_checked(good, "good")), _checked(defect, "defect")
    if not 0 <= fpr < 1:
        message = f"fpr must be in [0, 1), got {fpr}"
        raise ValueError(message)
    allowed = math.floor(fpr * clean.size + 1e-9)  # 0.29 · 100 must allow 29
    threshold = clean[clean.size - 1 - allowed]
    return OperatingPoint(float(threshold), float(np.count_nonzero(bad <= threshold) / bad.size))


def roc_curve(good: ScoresLike, defect: ScoresLike) -> RocCurve:
    """Corners of the ROC in ascending order."""
    _, false_positives, true_positives = _counts(good, defect)
    return RocCurve(
        (0.0, *(false_positives / false_positives[-1]).tolist()),
        (0.0, *(true_positives / true_positives[-1]).tolist()),
    )


def wilson_interval(hits: int, total: int) -> Interval:
    """95 % confidence interval of a share (Wilson, JASA 22, 1927): says how little "0 of 6" proves.

    Raises:
        ValueError: total < 1, or hits outside 0…total.
    """
    if total < 1 or not 0 <= hits <= total:
        message = f"a share needs 0 ≤ hits ≤ total and total ≥ 1, got {hits} of {total}"
        raise ValueError(message)
    share, square = hits / total, _Z_95**2 / total
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    return Interval(0.0 if hits == 0 else max(0.0, centre - half), 1.0 if hits == total else min(1.0, centre + half))


def _counts(good: ScoresLike, defect: ScoresLike) -> tuple[Scores, Scores, Scores]:
    """Distinct scores, descending, with false and true positives at "score ≥ threshold"."""
    clean, bad = np.sort(_checked(good, "good")), np.sort(_checked(defect, "defect"))
    thresholds = np.unique(np.concatenate((clean, bad)))[::-1]
    false_positives = clean.size - np.searchsorted(clean, thresholds, "left")
    true_positives = bad.size - np.searchsorted(bad, thresholds, "left")
    return thresholds, false_positives.astype(np.float64), true_positives.astype(np.float64)


def _checked(scores: ScoresLike, name: str) -> Scores:
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        message = f"the {name} scores must be a non-empty list of finite numbers"
        raise ValueError(message)
    return array
