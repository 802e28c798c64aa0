from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.rollout_looks import FIRST_LOOK, level_at
from edge_runtime.decision.rollout_stats import (
    fisher_exact,
    kolmogorov,
    ks_distance,
    ks_p_value,
    mcnemar_exact,
    wilson_lower,
)

try:
    from scipy import stats
except ModuleNotFoundError:  # comes with the extra `convert`; the published values below need none
    stats = None

COUNTS = st.integers(0, 300)
with_scipy = pytest.mark.skipif(stats is None, reason="needs scipy, which comes with the extra `convert`")


def test_fisher_gives_the_published_values() -> None:
    """Fisher's lady and her tea (3 of 4 cups): p = 0.4857. R's `fisher.test` on his convicts: p = 0.0005367."""
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher_exact(2, 12, 15, 18) == pytest.approx(0.0005367, abs=5e-8)


def test_mcnemar_counts_the_outcomes_of_a_fair_coin() -> None:
    """1 against 9 pairs: twice (1 + 10) of 1 024 outcomes; 5 against 5 and no pair at all say nothing."""
    assert mcnemar_exact(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar_exact(5, 5) == 1.0
    assert mcnemar_exact(0, 0) == 1.0


def test_wilson_gives_the_published_interval() -> None:
    """81 of 263 at 95 % (Newcombe, Stat. Med. 17 (1998) 857, table I): from 0.2553."""
    assert wilson_lower(81, 263, 1.959964) == pytest.approx(0.2553, abs=5e-5)


def test_kolmogorov_gives_the_published_quantiles() -> None:
    """Smirnov's table: λ = 1.3581 is exceeded with probability 0.05, 1.6276 with 0.01."""
    assert kolmogorov(1.3581) == pytest.approx(0.05, abs=1e-5)
    assert kolmogorov(1.6276) == pytest.approx(0.01, abs=1e-5)


@with_scipy
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_fisher_agrees_with_scipy(rejected_a: int, passed_a: int, rejected_b: int, passed_b: int) -> None:
    """Any table: the same p to nine digits."""
    table = [[rejected_a, passed_a], [rejected_b, passed_b]]
    expected = stats.fisher_exact(table)[1]
    found = fisher_exact(rejected_a, rejected_a + passed_a, rejected_b, rejected_b + passed_b)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)


@with_scipy
@given(COUNTS, COUNTS)
def test_mcnemar_agrees_with_scipys_sign_test(only_a: int, only_b: int) -> None:
    """The exact test is the sign test of the pairs in which they differ."""
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@with_scipy
@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_agrees_with_scipy(successes: int, trials: int) -> None:
    """The lower end of its interval."""
    successes = min(successes, trials)
    interval = stats.binomtest(successes, trials).proportion_ci(0.98, method="wilson")
    z = float(stats.norm.ppf(0.99))
    assert wilson_lower(successes, trials, z) == pytest.approx(interval.low, abs=1e-9)


@with_scipy
@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_the_distance_agrees_with_scipy(counts_a: list[int], counts_b: list[int]) -> None:
    """On binned values it is SciPy's D, and the p lies near its asymptotic one where samples are large."""
    bins = max(len(counts_a), len(counts_b))
    a, b = (np.array(counts + [0] * (bins - len(counts)), dtype=np.int64) for counts in (counts_a, counts_b))
    if not a.sum() or not b.sum():
        assert ks_distance(a, b) == 0.0
        return
    values_a, values_b = np.repeat(np.arange(bins), a), np.repeat(np.arange(bins), b)
    distance = ks_distance(a, b)
    assert distance == pytest.approx(float(stats.ks_2samp(values_a, values_b, method="exact").statistic))
    if min(values_a.size, values_b.size) >= 50:
        expected = stats.ks_2samp(values_a, values_b, method="asymp")
        assert ks_p_value(distance, values_a.size, values_b.size) == pytest.approx(float(expected.pvalue), abs=0.03)


def test_impossible_counts_are_refused() -> None:
    """More rejected than there are parts is a defect, not a p."""
    with pytest.raises(ValueError, match="5 rejected of 4"):
        fisher_exact(5, 4, 0, 4)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_it_does_not_matter_which_group_comes_first(a: int, b: int, c: int, d: int) -> None:
    """Two-sided means symmetric."""
    assert fisher_exact(a, a + b, c, c + d) == pytest.approx(fisher_exact(c, c + d, a, a + b))
    assert mcnemar_exact(a, b) == mcnemar_exact(b, a)


@given(st.integers(1, 100_000), st.floats(1e-6, 0.5))
def test_the_looks_spend_no_more_than_alpha(wanted: int, alpha: float) -> None:
    """Over every look that there can ever be, the wanted count among them."""
    counts = {wanted, *(FIRST_LOOK << turn for turn in range(30))}
    spent = math.fsum(level_at(parts, wanted, alpha) or 0.0 for parts in counts)
    assert spent <= alpha
    assert level_at(wanted, wanted, alpha) == alpha / 2


@given(st.integers(1, 10_000))
def test_between_the_looks_nothing_is_tested(parts: int) -> None:
    """A look is due at 16 parts and each doubling, and nowhere else."""
    is_due = parts >= FIRST_LOOK and (parts // FIRST_LOOK).bit_count() == 1 and parts % FIRST_LOOK == 0
    assert (level_at(parts, 10_001, 0.01) is not None) == is_due


def test_equal_models_are_told_apart_as_seldom_as_promised() -> None:
    """2 000 simulated pairs of equal models, watched for 4 096 parts: at most 1 % ever look different."""
    draw = np.random.default_rng(20)
    looks = [16 << turn for turn in range(9)]
    apart = 0
    for _ in range(2_000):
        discordant = draw.binomial(np.diff([0, *looks]), 0.04).cumsum()
        only_a = np.array([draw.binomial(n, 0.5) for n in np.diff([0, *discordant])]).cumsum()
        tests = zip(only_a, discordant, looks, strict=True)
        apart += any(mcnemar_exact(int(a), int(n - a)) < (level_at(k, 500, 0.01) or 0) for a, n, k in tests)
    assert apart <= 20
