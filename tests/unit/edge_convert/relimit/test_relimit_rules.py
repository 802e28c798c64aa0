from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_convert.relimit.rules import (
    Costs,
    consequences,
    from_costs,
    from_false_reject_rate,
    from_target_fnr,
)
from edge_runtime.domain.errors import ConfigError

_SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def _binomial_tail(count: int, above: int, rate: Fraction) -> Fraction:
    """P(Binomial(count, rate) ≤ above), exactly."""
    terms = (math.comb(count, k) * rate**k * (1 - rate) ** (count - k) for k in range(above + 1))
    return sum(terms, Fraction(0))


@pytest.mark.parametrize("count", [59, 93, 300])
def test_the_limit_is_the_lowest_that_the_confidence_allows(count: int) -> None:
    """One exceedance more would break the promise, by exact arithmetic."""
    rule = from_false_reject_rate([float(n) for n in range(count)], 0.05, 0.95)
    above = sum(score > rule.review for score in range(count))
    rate = Fraction(1, 20)
    assert _binomial_tail(count, above, rate) <= Fraction(1, 20) < _binomial_tail(count, above + 1, rate)


def test_too_few_good_parts_are_told_how_many_would_do() -> None:
    """59 scores prove 5 % with 95 %, 58 do not: Wilks' first table entry."""
    assert from_false_reject_rate([float(n) for n in range(59)], 0.05, 0.95).review == 58.0
    with pytest.raises(ConfigError, match="58 scores") as caught:
        from_false_reject_rate([float(n) for n in range(58)], 0.05, 0.95)
    assert "59" in caught.value.action


@pytest.mark.parametrize("count", [1, 5, 17, 28, 58])
def test_too_few_parts_are_told_what_they_do_prove(count: int) -> None:
    """The share in the advice is one that the next attempt with the same parts is granted, if there is any."""
    scores = [float(n) for n in range(count)]
    for option, rule in (("--false-reject-rate", from_false_reject_rate), ("--target-fnr", from_target_fnr)):
        with pytest.raises(ConfigError) as caught:
            rule(scores, 0.01, 0.95)
        found = re.search(rf"{option} ([0-9.]+[0-9]) is what {count} can prove", caught.value.action)
        assert (found is None) == (count < 5)
        if found is not None:
            assert rule(scores, float(found[1]), 0.95).method


def test_a_target_fnr_leaves_every_proved_defect_above_the_limit() -> None:
    """With just enough defects the limit lies under the weakest of them, and no defect passes."""
    defects = [5.0 + n / 10 for n in range(29)]
    rule = from_target_fnr(defects, 0.1, 0.95)
    assert rule.review < 5.0
    assert rule.review == math.nextafter(5.0, -math.inf)


def test_more_defects_allow_a_higher_limit() -> None:
    """500 defects at 10 % may lose some of the weakest, as many as the exact tail allows."""
    defects = [float(n) for n in range(500)]
    rule = from_target_fnr(defects, 0.1, 0.95)
    missed = sum(score <= rule.review for score in defects)
    rate = Fraction(1, 10)
    assert missed > 0
    assert _binomial_tail(500, missed, rate) <= Fraction(1, 20) < _binomial_tail(500, missed + 1, rate)


@given(_SCORES, _SCORES, st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.001, 0.999))
def test_no_other_threshold_costs_less(
    good: list[float], bad: list[float], miss: float, reject: float, share: float
) -> None:
    """Whatever the scores and costs, no score as a limit is cheaper than the chosen one."""
    chosen = from_costs(good, bad, Costs(miss, reject, share)).review

    def cost(limit: float) -> float:
        missed = sum(score <= limit for score in bad) / len(bad)
        rejected = sum(score > limit for score in good) / len(good)
        return share * miss * missed + (1 - share) * reject * rejected

    assert all(cost(chosen) <= cost(limit) + 1e-9 for limit in (*good, *bad, -math.inf))


def test_a_dear_false_pass_lowers_the_limit() -> None:
    """The same overlapping scores, with the costs turned round."""
    good, bad = [1.0, 2.0, 3.0, 4.0], [3.5, 5.0, 6.0]
    careful = from_costs(good, bad, Costs(1_000, 1, 0.1))
    lenient = from_costs(good, bad, Costs(1, 1_000, 0.1))
    assert careful.review == 3.0
    assert lenient.review == 4.0


@pytest.mark.parametrize("scores", [[], [math.nan], [1.0, math.inf]])
def test_scores_that_say_nothing_are_refused(scores: list[float]) -> None:
    """No scores, NaN and infinity name the kind of parts that is missing."""
    with pytest.raises(ConfigError, match="good parts"):
        from_false_reject_rate(scores, 0.1, 0.9)


@pytest.mark.parametrize(("rate", "confidence"), [(0.0, 0.95), (0.5, 0.95), (0.1, 0.4), (0.1, 1.0)])
def test_impossible_rates_and_confidences_are_refused(rate: float, confidence: float) -> None:
    """The message names the option."""
    with pytest.raises(ConfigError, match=r"--false-reject-rate|--confidence"):
        from_false_reject_rate([float(n) for n in range(500)], rate, confidence)


def test_consequences_are_counted_with_intervals() -> None:
    """Both kinds of mistakes on the scores at hand."""
    texts = consequences(2.0, [1.0, 2.0, 3.0], [2.0, 9.0])
    assert texts[0].startswith("good parts above the limit: 1 of 3")
    assert texts[1].startswith("defective parts at or below it: 1 of 2")
