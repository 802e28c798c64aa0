from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_convert.convert.judgement import judged
from edge_convert.precision.choice import Candidate
from edge_convert.precision.order import expected_swaps
from edge_runtime.decision.parity import Answer, Pair, good_parts, measure
from edge_runtime.domain.model_bundle import ParityLimits
from edge_runtime.domain.verdict import Limits

GOOD = [10.0 + 0.1 * step for step in range(20)]
FAR, NEAR = [30.0 + step for step in range(12)], [10.0 + 0.15 * step for step in range(12)]
LIMITS = ParityLimits()


def judgement(precision: str, defects: list[float], off: float):
    """A candidate whose scores are off by so much, up and down in turn."""
    truth = [*((score, False) for score in GOOD), *((score, True) for score in defects)]
    pairs = [
        Pair(f"{turn}", defective, Answer(score), Answer(score + off * (-1) ** turn))
        for turn, (score, defective) in enumerate(truth)
    ]
    figures = measure(pairs, Limits(100.0, 100.0), good_parts(GOOD), "test")
    return judged(Candidate(precision, "ort-qdq", b""), figures, pairs, LIMITS)


def test_rounding_may_use_half_of_the_drift_that_the_bundle_is_held_to() -> None:
    """A few probes only estimate the drift of the finished bundle: 0.35 of a spread is too much for INT8 on them."""
    spread = good_parts(GOOD).spread
    assert judgement("int8", FAR, 0.2 * spread).holds
    too_far = judgement("int8", FAR, 0.35 * spread)
    assert not too_far.holds
    assert too_far.badness > 1
    assert judgement("fp32", FAR, 0.35 * spread).holds


def test_defects_among_good_parts_must_keep_their_order() -> None:
    """Rounding that does no harm to far defects moves the AUROC where defects hardly differ from good parts."""
    off = 0.1 * good_parts(GOOD).spread
    assert judgement("int8", FAR, off).holds
    refused = judgement("int8", NEAR, off)
    assert not refused.holds
    assert "change their order" in refused.text


def test_scores_that_are_no_numbers_never_hold() -> None:
    """A NaN is not a small departure."""
    assert not judgement("int8", FAR, float("nan")).holds


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=30), st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_no_rounding_swaps_nothing(good: list[float], defects: list[float]) -> None:
    """Equal scores put no pair at risk, and no rounding puts more than half of them at risk."""
    exact_good, exact_defects = np.array(good), np.array(defects)
    assert expected_swaps(exact_good, exact_defects, exact_good, exact_defects) == 0
    moved = expected_swaps(exact_good, exact_defects, exact_good + 1, exact_defects - 1)
    assert moved is not None
    assert 0 <= moved <= 0.5


def test_a_known_share_of_pairs() -> None:
    """Two scores one noise apart, each off by that noise: normal errors swap them with Φ(−1/√2) = 0.2398."""
    good, defects = np.zeros(8), np.ones(1)
    assert expected_swaps(good, defects, good + 1, defects + 1) == pytest.approx(0.23975, abs=1e-5)


def test_a_defect_far_beyond_all_others_says_nothing_of_their_rounding() -> None:
    """The rounding of a square grows with the score: it puts its own place at risk, and nobody else's."""
    good, defects = np.linspace(10, 12, 20), np.array([10.9, 13.0, 1e9])
    none_moves = expected_swaps(good, defects, good, defects + np.array([0, 0, 1e6]))
    assert none_moves == pytest.approx(0, abs=1e-9)
    moved = expected_swaps(good, defects, good + 0.01, defects + np.array([0.01, 0.01, 1e6]))
    assert moved == pytest.approx(expected_swaps(good, defects[:2], good + 0.01, defects[:2] + 0.01) * 2 / 3)
    thrown_among_them = expected_swaps(good, defects, good, defects - np.array([0, 0, 1e9]))
    assert thrown_among_them == pytest.approx(0.1587 / 3, abs=1e-4)


def test_a_score_that_is_no_number_puts_everything_at_risk() -> None:
    """Wherever it stands, the farthest included."""
    good, defects = np.linspace(10, 12, 20), np.array([13.0, 1e9])
    assert expected_swaps(good, defects, good, defects * np.array([1, np.nan])) == np.inf
    assert expected_swaps(good, defects, good * np.inf, defects) == np.inf
