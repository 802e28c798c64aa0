"""The statistics of a rollout: are two reject rates the same, how well do two models agree, how far apart are scores?

Exact tests where parts are counted: rejects are rare, and the usual normal approximation is wrong just there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_TIE: Final = 1 + 1e-7
"""Outcomes as likely as the one that was seen count as at least as extreme, rounding or not (as R and SciPy do)."""
_TERMS: Final = 101
"""Of the Kolmogorov series; for λ ≥ 0.2 the terms left out are below 10⁻³⁰⁰."""
_SURELY_SAME: Final = 0.2
"""Below this λ the probability differs from 1 by less than 10⁻¹²."""


def fisher_exact(rejected_a: int, parts_a: int, rejected_b: int, parts_b: int) -> float:
    """Two-sided p that two groups of different parts have the same reject rate.

    R. A. Fisher, Statistical Methods for Research Workers (1934), § 21.02: given all four margins, the sum over every
    outcome that is not more likely than the one that was seen.

    Args:
        rejected_a: 0…`parts_a`; the other two likewise.

    Raises:
        ValueError: more rejected than there are parts, or a negative count.
    """
    for rejected, parts in ((rejected_a, parts_a), (rejected_b, parts_b)):
        if not 0 <= rejected <= parts:
            message = f"{rejected} rejected of {parts} parts"
            raise ValueError(message)
    rejected = rejected_a + rejected_b
    low, high = max(0, rejected - parts_b), min(rejected, parts_a)
    if low == high:
        return 1.0
    outcome = np.arange(low, high, dtype=np.float64)
    # The ratio of each outcome's probability to the one before it: no factorial is ever computed.
    steps = np.log((rejected - outcome) * (parts_a - outcome)) - np.log(
        (outcome + 1) * (parts_b - rejected + outcome + 1)
    )
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    seen = weights[rejected_a - low]
    return min(1.0, float(weights[weights <= seen * _TIE].sum() / weights.sum()))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p that two models reject the same share of the *same* parts.

    Q. McNemar, Psychometrika 12 (1947) 153, in its exact form: parts on which they agree say nothing; a part that only
    one of them rejects is rejected by either with probability ½.

    Args:
        only_a: parts that only the first model rejects.
        only_b: parts that only the second model rejects.
    """
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    if 2 * fewer == discordant:
        return 1.0
    log_half = discordant * math.log(2)
    top = math.lgamma(discordant + 1)
    tail = (math.exp(top - math.lgamma(k + 1) - math.lgamma(discordant - k + 1) - log_half) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(tail))


def wilson_lower(successes: int, trials: int, z: float) -> float:
    """Lower bound of the share behind `successes` of `trials`, 0…1; 0 without trials.

    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209, equation 1.

    Args:
        z: of the normal distribution: 2.326 for a bound that holds in 99 of 100 cases.
    """
    if trials == 0:
        return 0.0
    share, z2 = successes / trials, z * z
    middle = share + z2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, (middle - half) / (1 + z2 / trials))


def ks_distance(counts_a: npt.NDArray[np.int64], counts_b: npt.NDArray[np.int64]) -> float:
    """Largest difference between two cumulative distributions, 0…1: Kolmogorov and Smirnov's D. 0 if one is empty.

    Args:
        counts_a: how many values fell into each of the bins, [B]; `counts_b` over the same bins.
    """
    total_a, total_b = int(counts_a.sum()), int(counts_b.sum())
    if total_a == 0 or total_b == 0:
        return 0.0
    return float(np.abs(np.cumsum(counts_a) / total_a - np.cumsum(counts_b) / total_b).max())


def ks_p_value(distance: float, count_a: int, count_b: int) -> float:
    """Two-sided p that two samples with this distance come from one distribution.

    N. Smirnov, Ann. Math. Stat. 19 (1948) 279, with M. A. Stephens' correction for small samples (J. R. Stat. Soc. B 32
    (1970) 115). Conservative for values that share bins, and for two models on the same parts.
    """
    if count_a == 0 or count_b == 0:
        return 1.0
    root = math.sqrt(count_a * count_b / (count_a + count_b))
    return kolmogorov((root + 0.12 + 0.11 / root) * distance)


def kolmogorov(value: float) -> float:
    """Probability that Kolmogorov's statistic exceeds `value` (λ ≥ 0)."""
    if value < _SURELY_SAME:
        return 1.0
    series = math.fsum((-1) ** (k - 1) * math.exp(-2 * (k * value) ** 2) for k in range(1, _TERMS))
    return min(1.0, max(0.0, 2 * series))
