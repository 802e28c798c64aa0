from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.parity import Answer, GoodParts, Pair, departures, flips, good_parts, measure, worst_ratio
from edge_runtime.domain.model_bundle import ParityLimits
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.compare import REDUCED_PX, map_correlation, reduce_map

_LIMITS = Limits(review=2.0, reject=3.0)
_RULER = GoodParts(median=1.0, spread=0.5)


def _pair(reference: float, device: float, *, defective: bool = False) -> Pair:
    return Pair("image", defective, Answer(reference), Answer(device))


def test_a_device_that_answers_like_the_source_departs_in_nothing() -> None:
    """Equal scores and maps: no drift, no flips, full correlation, parity holds."""
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    pairs = [
        Pair("good", False, Answer(1.2, plane), Answer(1.2, plane)),
        Pair("bad", True, Answer(5.0, plane), Answer(5.0, plane)),
    ]
    figures = measure(pairs, _LIMITS, _RULER, "engine")
    assert (figures.good_drift, figures.separation_loss, figures.flips) == (0.0, 0.0, 0)
    assert figures.map_correlation == pytest.approx(1.0)
    assert departures(figures, ParityLimits()) == ()


def test_good_parts_drift_in_units_of_their_own_spread() -> None:
    """0.4 off at a spread of 0.5 is 0.8 spreads, beyond the half that is allowed."""
    figures = measure([_pair(1.0, 1.4)], _LIMITS, _RULER, "engine")
    assert figures.good_drift == pytest.approx(0.8)
    assert "good parts drift" in departures(figures, ParityLimits())[0]


def test_a_defect_may_lose_a_share_of_its_distance_however_far_it_is() -> None:
    """101 → 96 is 5 % of the distance, though it is ten spreads."""
    figures = measure([_pair(101.0, 96.0, defective=True)], _LIMITS, _RULER, "engine")
    assert figures.separation_loss == pytest.approx(0.05)
    assert departures(figures, ParityLimits()) == ()


def test_a_flip_clear_of_the_limit_is_refused_and_one_within_rounding_is_told() -> None:
    """2.3 → 1.9 flips for a reason; 2.01 → 1.99 lies within a tenth of the spread of the limit."""
    figures = measure([_pair(2.3, 1.9), _pair(2.01, 1.99)], _LIMITS, _RULER, "engine")
    assert (figures.flips, figures.flips_near_limit) == (1, 1)
    assert any("flip" in text for text in departures(figures, ParityLimits(good_drift=9)))


def test_review_and_reject_are_one_side() -> None:
    """Neither passes the part: no flip."""
    assert not flips(_pair(2.5, 3.5), _LIMITS)
    assert flips(_pair(2.5, 1.5), _LIMITS)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_departs_infinitely(broken: float) -> None:
    """It cannot hide in a quantile or a maximum."""
    figures = measure([_pair(1.0, broken), _pair(9.0, broken, defective=True)], _LIMITS, _RULER, "engine")
    assert figures.good_drift == math.inf
    assert figures.separation_loss == math.inf
    assert len(departures(figures, ParityLimits())) >= 2


def test_one_swapped_pair_is_always_allowed() -> None:
    """With 10 × 5 labelled images one pair is 0.02 of AUROC."""
    figures = measure([], _LIMITS, _RULER, "engine")
    loss = type(figures)(**{**_fields(figures), "image_auroc_loss": 0.02})
    assert departures(loss, ParityLimits(), labelled_pairs=50) == ()
    assert departures(loss, ParityLimits(), labelled_pairs=100) != ()


def _fields(figures: object) -> dict[str, object]:
    return {name: getattr(figures, name) for name in type(figures).__dataclass_fields__}


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.booleans()), max_size=12))
def test_the_worst_ratio_exceeds_one_exactly_where_something_departs(rows: list[tuple[float, float, bool]]) -> None:
    """The search for a precision and the refusal agree on what holds."""
    pairs = [_pair(one, other, defective=defective) for one, other, defective in rows]
    figures, limits = measure(pairs, _LIMITS, _RULER, "engine"), ParityLimits()
    assert (worst_ratio(figures, limits) > 1) == bool(departures(figures, limits))


def test_good_parts_that_all_score_alike_still_give_a_ruler() -> None:
    """A spread of zero would make every rounding infinite."""
    assert good_parts([3.0, 3.0, 3.0]).spread == pytest.approx(0.003)
    with pytest.raises(ValueError, match="finite"):
        good_parts([1.0, math.nan])


def test_maps_are_compared_at_the_coarser_resolution() -> None:
    """An enlarged map still correlates with the small one; its mirror image does not."""
    draw = np.random.default_rng(0)
    small = draw.random((8, 8)).astype(np.float32)
    large = np.kron(small, np.ones((6, 6), dtype=np.float32))
    assert map_correlation(small, large) == pytest.approx(1.0, abs=1e-6)
    assert map_correlation(small, large[:, ::-1]) < 0.5


def test_a_flat_map_correlates_only_with_a_flat_one() -> None:
    """No division by zero, and NaN counts as no correlation."""
    flat, other = np.full((4, 4), 2.0, np.float32), np.arange(16, dtype=np.float32).reshape(4, 4)
    assert map_correlation(flat, flat) == 1.0
    assert map_correlation(flat, other) == 0.0
    assert map_correlation(other, np.full((4, 4), np.nan, np.float32)) == 0.0


def test_a_reduced_map_is_small_and_keeps_its_shape() -> None:
    """At most 64 a side; a smaller one stays as it is."""
    assert reduce_map(np.zeros((480, 640), np.float32)).shape == (REDUCED_PX, REDUCED_PX)
    assert reduce_map(np.zeros((10, 20), np.float32)).shape == (10, 20)
