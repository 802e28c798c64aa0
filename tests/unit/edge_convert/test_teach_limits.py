from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_convert.holdout import plan_folds
from edge_convert.limits import limits_for, needed_count, rate_warnings, usual_rate
from edge_runtime.domain.errors import ConfigError


@pytest.mark.parametrize(("rate", "expected"), [(0.01, 99), (0.05, 19), (0.001, 999), (0.1, 9)])
def test_needed_images_follow_from_the_rate(rate: float, expected: int) -> None:
    """Below 1/rate − 1 scores no distribution-free limit exists."""
    assert needed_count(rate) == expected


@pytest.mark.parametrize(("count", "expected"), [(5, 0.05), (30, 0.05), (99, 0.02), (199, 0.01), (5_000, 0.01)])
def test_few_images_get_the_rate_that_they_support(count: int, expected: float) -> None:
    """1 % where the images bear it, else more, up to 5 %; what gave way is said, with the number that would do."""
    rate = usual_rate(count)
    assert rate == pytest.approx(expected)
    warnings = rate_warnings(count, rate)
    assert bool(warnings) == (rate > 0.01)
    assert all("199" in warning for warning in warnings)
    assert not any("each again" in warning for warning in warnings)  # import and train say it, too


def test_the_usual_limit_over_few_images_is_not_stretched_beyond_them() -> None:
    """Two stragglers among 28 good parts do not push the review limit far beyond the rest."""
    scores = [2.0 + 0.01 * number for number in range(26)] + [2.76, 3.05]
    assert limits_for(scores, usual_rate(len(scores))).limits.review < 3.05 < limits_for(scores, 0.01).limits.review


def test_enough_scores_give_the_conformal_rank() -> None:
    """Of 1,000 scores the ⌈1001 · 0.99⌉ = 991st smallest is the review limit: not the maximum, and no warning."""
    scores = [float(score) for score in np.random.default_rng(0).permutation(1_000)]
    found = limits_for(scores, 0.01)
    assert found.limits.review == 990.0
    assert found.limits.reject > found.limits.review
    assert "conformal" in found.method
    assert not found.warnings


@pytest.mark.parametrize("count", [20, 28, 60, 99, 150, 400])
@pytest.mark.parametrize("family", ["gumbel", "normal", "exponential"])
def test_new_good_parts_stay_within_the_rate(count: int, family: str) -> None:
    """Over 1,500 seeded trials new good scores exceed `review` at no more than 1.3 times the stated rate of 2 %."""
    draw = np.random.default_rng(count)
    beyond = []
    for _ in range(1_500):
        scores = getattr(draw, family)(size=count + 20)
        limit = limits_for(list(scores[:count] + 10), 0.02).limits.review
        beyond.append(float((scores[count:] + 10 > limit).mean()))
    assert np.mean(beyond) <= 0.026


@pytest.mark.parametrize("count", [5, 28, 98])
def test_few_images_are_warned_of(count: int) -> None:
    """Fewer than 99 scores cannot prove 1 %: the warning says how many could, and the limit lies above the maximum."""
    scores = list(np.random.default_rng(count).normal(2, 0.1, count))
    found = limits_for(scores, 0.01)
    assert "99" in found.warnings[0]
    assert found.limits.review != max(scores)


def test_impossible_input_is_refused() -> None:
    """Too few scores, a score that is no number, a rate that is no rate."""
    with pytest.raises(ConfigError, match="4 held-out"):
        limits_for([1.0] * 4, 0.01)
    with pytest.raises(ConfigError, match="finite"):
        limits_for([1.0] * 10 + [float("nan")], 0.01)
    with pytest.raises(ConfigError, match="rate"):
        limits_for([1.0] * 10, 0.0)


@given(
    scores=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=5, max_size=300),
    rate=st.floats(0.001, 0.3),
    scale=st.floats(0.1, 50),
)
def test_limits_are_ordered_and_scale_with_the_scores(scores: list[float], rate: float, scale: float) -> None:
    """Always lowest ≤ review ≤ reject, and other units of score give the same limits in those units."""
    found = limits_for(scores, rate).limits
    assert min(scores) <= found.review + 1e-9
    assert found.review <= found.reject
    scaled = limits_for([score * scale for score in scores], rate).limits
    assert scaled.review == pytest.approx(found.review * scale, rel=1e-6, abs=1e-6)
    assert scaled.reject == pytest.approx(found.reject * scale, rel=1e-6, abs=1e-6)


@given(images=st.integers(5, 3_000), rate=st.floats(0.005, 0.2), share=st.none() | st.floats(0.02, 0.5))
def test_no_image_is_held_out_twice(images: int, rate: float, share: float | None) -> None:
    """Folds are disjoint, leave something to learn from, and are either one large enough or all images once."""
    folds = plan_folds(images, rate, share, seed=1)
    flat = [index for fold in folds for index in fold]
    assert len(set(flat)) == len(flat)
    assert all(len(fold) < images for fold in folds)
    if len(folds) == 1:
        assert len(flat) >= 2 * needed_count(rate)
    else:
        assert sorted(flat) == list(range(images))


def test_folds_depend_on_the_seed_alone() -> None:
    """Same seed, same folds."""
    assert plan_folds(100, 0.01, None, 3) == plan_folds(100, 0.01, None, 3)
    assert plan_folds(100, 0.01, None, 3) != plan_folds(100, 0.01, None, 4)
