"""Limits from a false-reject rate with a confidence bound, from a target FNR, or from costs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_convert.evaluate.metrics import wilson_interval
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Costs:
    """What a wrong verdict costs, in any one currency."""

    false_pass: float
    false_reject: float
    defect_rate: float
    """Share of defective parts on the line, 0…1: a dataset says nothing about it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A review limit and the reasons for it."""

    review: float
    method: str
    """With every number that it rests on."""
    false_reject_rate: float | None = None
    """Share of good parts that it was drawn for; None: it was drawn from defects."""


def from_false_reject_rate(good: Sequence[float], rate: float, confidence: float) -> Rule:
    """The lowest limit that is exceeded by at most `rate` of good parts, with `confidence`.

    A distribution-free tolerance limit (Wilks, Ann. Math. Stat. 12, 1941): with the limit at the k-th smallest of n
    scores the share of good parts above it is Beta(n − k + 1, k), so that it stays at or below `rate` with the
    probability that a Binomial(n, rate) variable exceeds n − k.

    Args:
        good: scores of good parts that the model has not seen.
        rate: 0 < rate < 0.5.
        confidence: 0.5 ≤ confidence < 1.

    Raises:
        ConfigError: the numbers are impossible, or so few scores cannot prove it; says how many could.
    """
    _check_share("--false-reject-rate", rate, 0.5)
    _check_confidence(confidence)
    ordered = _finite(good, "good")
    count = len(ordered)
    above = _allowed_exceedances(count, rate, confidence)
    if above is None:
        raise ConfigError(
            f"{count} scores of good parts cannot prove a false-reject rate of {rate:.2%} "
            f"with {confidence:.0%} confidence",
            f"Supply {_needed(rate, confidence)} good images, or allow more: "
            + _provable("--false-reject-rate", count, confidence),
        )
    method = (
        f"score {count - above} of {count} good parts: at most {rate:.2%} of good parts lie above it, "
        f"with {confidence:.0%} confidence"
    )
    return Rule(ordered[count - above - 1], method, rate)


def from_target_fnr(defective: Sequence[float], target: float, confidence: float) -> Rule:
    """The highest limit at or below which at most `target` of the defective parts lie, with `confidence`.

    The same tolerance limit from below: the limit is the next number under the k-th smallest score of defects.

    Raises:
        ConfigError: the numbers are impossible, or so few defects cannot prove it; says how many could.
    """
    _check_share("--target-fnr", target, 0.5)
    _check_confidence(confidence)
    ordered = _finite(defective, "defective")
    below = _allowed_exceedances(len(ordered), target, confidence)
    if below is None:
        raise ConfigError(
            f"{len(ordered)} defective parts cannot prove an FNR of {target:.2%} with {confidence:.0%} confidence",
            f"Supply {_needed(target, confidence)} defective images, or allow more: "
            + _provable("--target-fnr", len(ordered), confidence),
        )
    method = (
        f"just below score {below + 1} of {len(ordered)} defective parts: at most {target:.2%} of such defects pass, "
        f"with {confidence:.0%} confidence"
    )
    return Rule(math.nextafter(ordered[below], -math.inf), method)


def from_costs(good: Sequence[float], defective: Sequence[float], costs: Costs) -> Rule:
    """The limit on the ROC with the lowest expected cost per part; of equal ones the lowest, which passes least.

    cost = defect_rate · false_pass · FNR + (1 − defect_rate) · false_reject · FPR

    Raises:
        ConfigError: a cost or rate is impossible, or one kind of parts has no score.
    """
    if min(costs.false_pass, costs.false_reject) <= 0 or not math.isfinite(costs.false_pass + costs.false_reject):
        raise ConfigError("costs must be positive numbers", "Give --cost-false-pass and --cost-false-reject above 0.")
    _check_share("--defect-rate", costs.defect_rate, 1.0)
    fine, broken = _finite(good, "good"), _finite(defective, "defective")
    lowest = math.nextafter(min(fine[0], broken[0]), -math.inf)
    best, best_cost = lowest, math.inf
    for limit in sorted({lowest, *fine, *broken}):
        missed = sum(score <= limit for score in broken) / len(broken)
        rejected = sum(score > limit for score in fine) / len(fine)
        cost = costs.defect_rate * costs.false_pass * missed + (1 - costs.defect_rate) * costs.false_reject * rejected
        if cost < best_cost - 1e-15:
            best, best_cost = limit, cost
    method = (
        f"lowest expected cost, {best_cost:.4g} per part, on {len(fine)} good and {len(broken)} defective parts "
        f"(false pass {costs.false_pass:g}, false reject {costs.false_reject:g}, {costs.defect_rate:.2%} defects)"
    )
    return Rule(best, method)


def consequences(review: float, good: Sequence[float], defective: Sequence[float]) -> tuple[str, ...]:
    """What the limit does to the scores at hand, with 95 % intervals."""
    texts = []
    for kind, hits, total in (
        ("good parts above the limit", sum(score > review for score in good), len(good)),
        ("defective parts at or below it", sum(score <= review for score in defective), len(defective)),
    ):
        if total:
            interval = wilson_interval(hits, total)
            texts.append(f"{kind}: {hits} of {total} (95 % between {interval.low:.2%} and {interval.high:.2%})")
    return tuple(texts)


def _allowed_exceedances(count: int, share: float, confidence: float) -> int | None:
    """Largest number m with P(Binomial(count, share) ≤ m) ≤ 1 − confidence; None if there is none."""
    allowed, cumulative = None, 0.0
    for exceedances in range(count):
        log_term = (
            math.lgamma(count + 1)
            - math.lgamma(exceedances + 1)
            - math.lgamma(count - exceedances + 1)
            + exceedances * math.log(share)
            + (count - exceedances) * math.log1p(-share)
        )
        cumulative += math.exp(log_term)
        if cumulative > 1 - confidence + 1e-12:
            break
        allowed = exceedances
    return allowed


def _needed(share: float, confidence: float) -> int:
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))


def _provable(option: str, count: int, confidence: float) -> str:
    """What so many scores do prove, rounded up so that it holds; less confidence where even that is too much."""
    lowest = math.ceil((1 - math.pow(1 - confidence, 1 / count)) * 1000) / 1000
    if lowest < 0.5:  # noqa: PLR2004
        return f"{option} {lowest:g} is what {count} can prove."
    return f"{count} prove nothing with {confidence:.0%} confidence."


def _check_share(option: str, value: float, below: float) -> None:
    if not 0 < value < below:
        raise ConfigError(f"{option} {value} is impossible", f"Choose one above 0 and below {below:g}.")


def _check_confidence(confidence: float) -> None:
    if not 0.5 <= confidence < 1:  # noqa: PLR2004
        raise ConfigError(f"--confidence {confidence} is impossible", "Choose one from 0.5 to below 1, e.g. 0.95.")


def _finite(scores: Sequence[float], kind: str) -> list[float]:
    if not scores or not all(math.isfinite(score) for score in scores):
        raise ConfigError(f"finite scores of {kind} parts are needed", f"Supply images of {kind} parts.")
    return sorted(float(score) for score in scores)
