"""Image-level figures against their slow, obvious definitions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_convert.evaluate import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

# Few distinct values, so that ties are the rule rather than the exception.
coarse = st.integers(-4, 4).map(float)
fine = st.floats(-1e6, 1e6)
scores = st.one_of(st.lists(coarse, min_size=1, max_size=25), st.lists(fine, min_size=1, max_size=25))
FIGURES: tuple[Callable[[list[float], list[float]], float], ...] = (
    metrics.image_auroc,
    metrics.image_ap,
    lambda good, defect: metrics.f1_max(good, defect).value,
    lambda good, defect: metrics.fnr_at_fpr(good, defect).value,
)


@given(scores, scores)
def test_auroc_is_the_share_of_pairs_in_the_right_order(good: list[float], defect: list[float]) -> None:
    """AUROC equals counting every (defect, good) pair, half a point for a tie."""
    points = [(bad > clean) + 0.5 * (bad == clean) for bad, clean in itertools.product(defect, good)]
    assert metrics.image_auroc(good, defect) == pytest.approx(sum(points) / len(points), abs=1e-12)


@given(scores, scores)
def test_auroc_is_the_area_under_the_roc(good: list[float], defect: list[float]) -> None:
    """The drawn curve and the printed figure are the same thing."""
    curve = metrics.roc_curve(good, defect)
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert metrics.image_auroc(good, defect) == pytest.approx(area, abs=1e-12)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1.0, 1.0)


@given(scores, scores)
def test_swapping_the_labels_complements_auroc(good: list[float], defect: list[float]) -> None:
    """Calling good parts defective and the reverse turns AUROC into 1 − AUROC."""
    assert metrics.image_auroc(good, defect) + metrics.image_auroc(defect, good) == pytest.approx(1.0, abs=1e-12)


@given(st.lists(coarse, min_size=1, max_size=25), st.lists(coarse, min_size=1, max_size=25))
def test_figures_depend_on_order_alone(good: list[float], defect: list[float]) -> None:
    """A strictly monotone transform of all scores (exact on these values) changes no figure."""

    def stretch(values: list[float]) -> list[float]:
        return [value**3 + 2 * value + 7 for value in values]

    for figure in FIGURES:
        assert figure(good, defect) == figure(stretch(good), stretch(defect))


@given(scores, scores, st.randoms(use_true_random=False))
def test_figures_do_not_depend_on_the_order_of_images(good, defect, random) -> None:
    """Shuffling the images changes no figure, ties included."""
    shuffled_good, shuffled_defect = random.sample(good, len(good)), random.sample(defect, len(defect))
    for figure in FIGURES:
        assert figure(good, defect) == figure(shuffled_good, shuffled_defect)


@given(scores, scores)
def test_average_precision_is_the_sum_over_thresholds(good: list[float], defect: list[float]) -> None:
    """AP equals walking down the distinct scores and adding precision times the recall gained."""
    expected, recall = 0.0, 0.0
    for threshold in sorted({*good, *defect}, reverse=True):
        hits = sum(bad >= threshold for bad in defect)
        flagged = hits + sum(clean >= threshold for clean in good)
        expected += (hits / len(defect) - recall) * hits / flagged
        recall = hits / len(defect)
    assert metrics.image_ap(good, defect) == pytest.approx(expected, abs=1e-12)


@given(scores, scores)
def test_f1_max_is_the_best_of_all_thresholds(good: list[float], defect: list[float]) -> None:
    """No threshold gives a larger F1, and the one named gives exactly the value named."""

    def f1(threshold: float) -> float:
        hits = sum(bad >= threshold for bad in defect)
        return 2 * hits / (hits + sum(clean >= threshold for clean in good) + len(defect))

    best = metrics.f1_max(good, defect)
    assert best.value == pytest.approx(max(f1(threshold) for threshold in {*good, *defect}), abs=1e-12)
    assert best.value == pytest.approx(f1(best.threshold), abs=1e-12)


@given(scores, scores, st.sampled_from([0.0, 0.05, 0.1, 0.29, 0.5]))
def test_fnr_at_fpr_keeps_the_promise_and_is_the_best_that_does(good, defect, fpr) -> None:
    """At most `fpr` of the good parts are flagged, and no threshold that keeps this misses fewer defects."""
    point = metrics.fnr_at_fpr(good, defect, fpr)
    allowed = fpr * len(good) + 1e-9
    assert sum(clean > point.threshold for clean in good) <= allowed
    misses = [
        sum(bad <= threshold for bad in defect) / len(defect)
        for threshold in {*good, *defect}
        if sum(clean > threshold for clean in good) <= allowed
    ]
    assert point.value <= min(misses) + 1e-12


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_holds_the_share(case: tuple[int, int]) -> None:
    """The interval lies in 0…1, holds the observed share, and solves Wilson's equation at its inner ends."""
    hits, total = case
    interval = metrics.wilson_interval(hits, total)
    share = hits / total
    assert 0.0 <= interval.low <= share <= interval.high <= 1.0
    for end in {interval.low, interval.high} - {0.0, 1.0}:
        assert (share - end) ** 2 == pytest.approx(1.959963984540054**2 * end * (1 - end) / total, rel=1e-6)


@pytest.mark.parametrize("bad", [[], [float("nan")], [float("inf")], [[1.0, 2.0]]])
def test_unusable_scores_are_refused(bad: list[float]) -> None:
    """An empty list, NaN, infinity and a matrix are errors, not figures."""
    for figure in FIGURES:
        with pytest.raises(ValueError, match="finite numbers"):
            figure(bad, [1.0])
        with pytest.raises(ValueError, match="finite numbers"):
            figure([1.0], bad)
