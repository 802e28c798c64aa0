"""Limits from the scores of held-out good parts, for a stated false-reject rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

LOWEST_COUNT: Final = 5
"""Fewer held-out scores say nothing about a tail."""

_USUAL_RATE: Final = 0.01
_HIGHEST_USUAL_RATE: Final = 0.05

_REJECT_SHARE: Final = 0.1
"""The reject limit is drawn for a tenth of the rate: above it a good part is next to impossible, between the two limits
a person may look."""
_TAIL_SHARE: Final = 0.25
_TAIL_MINIMUM: Final = 4
_TAIL_MAXIMUM: Final = 50


@dataclass(frozen=True, slots=True)
class ScoreLimits:
    """Limits, and what stands behind them."""

    limits: Limits
    rate: float
    """The false-reject rate that `review` was drawn for."""
    method: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tail:
    """Exponential beyond a threshold that the (k + 1)-th largest of n scores sets."""

    threshold: float
    mean: float
    exceedances: int
    count: int

    def _inside(self, rate: float) -> float:
        """Probability of exceeding the limit, given that the threshold is exceeded."""
        return min(1.0, rate * (self.count + 1) / (self.exceedances + 1))

    def estimate(self, rate: float) -> float:
        """The limit if the fitted mean were the true one."""
        return self.threshold - self.mean * math.log(self._inside(rate))

    def prediction(self, rate: float) -> float:
        """The limit that allows for the mean having been fitted to so few."""
        reach: float = self.exceedances * (self._inside(rate) ** (-1 / self.exceedances) - 1)
        return self.threshold + self.mean * reach


def needed_count(rate: float) -> int:
    """Held-out images below which no distribution-free limit exists for this rate."""
    return math.ceil(1 / rate - 1e-9) - 1


def usual_rate(count: int) -> float:
    """The false-reject rate that so many held-out good images support, where nobody asks for another.

    1 % from 199 images on; below, the smallest rate that still leaves a score above the limit, but never more than 5 %.
    A limit stretched to 1 % over 30 images lies far beyond every good part, and defects pass under it: a few good parts
    too many under review are the smaller evil.
    """
    return min(_HIGHEST_USUAL_RATE, max(_USUAL_RATE, 2 / (count + 1)))


def rate_warnings(count: int, rate: float) -> list[str]:
    """What to say where `usual_rate` had to give way."""
    if rate <= _USUAL_RATE:
        return []
    enough = round(2 / _USUAL_RATE) - 1
    supported = f"{count} good images support a false-reject rate of {rate:.1%}, not {_USUAL_RATE:.0%}"
    return [f"{supported}: expect that share of good parts under review. Give {enough} images or more"]


def limits_for(scores: Sequence[float], rate: float) -> ScoreLimits:
    """Draw limits such that a new good part stays at or below `review` with probability of at least 1 − `rate`.

    `review` is split-conformal: of n exchangeable scores the ⌈(n + 1)(1 − rate)⌉-th smallest (Vovk et al., 2005), where
    that is not the maximum. Where n is too small it comes from an exponential tail fitted to the largest quarter: for k
    exceedances with mean b over the threshold the next one exceeds t·b with probability (1 + t/k)^(−k), which is exact
    for an exponential tail with unknown mean, so few images give a wider limit by themselves. `reject` carries no
    promise of its own, since nothing above `review` passes: it is the tail's plain estimate for a tenth of the rate.

    Args:
        scores: of good parts that the model had not seen, at least `LOWEST_COUNT`.
        rate: 0 < rate < 0.5.

    Raises:
        ConfigError: too few scores, one that is not finite, or an impossible rate.
    """
    if not 0 < rate < 0.5:  # noqa: PLR2004
        raise ConfigError(
            f"a false-reject rate of {rate} is impossible", "Choose one above 0 and below 0.5, e.g. 0.01."
        )
    if len(scores) < LOWEST_COUNT:
        raise ConfigError(
            f"{len(scores)} held-out good images cannot set a limit", f"Supply at least {LOWEST_COUNT}, better 100."
        )
    if not all(math.isfinite(score) for score in scores):
        raise ConfigError("a held-out score is not a finite number", "Check the backbone and its normalisation.")
    ordered = sorted(float(score) for score in scores)
    count = len(ordered)
    rank = math.ceil((count + 1) * (1 - rate) - 1e-9)
    warnings: list[str] = []
    if rank < count:
        review, method = ordered[rank - 1], f"conformal: score {rank} of {count} held out"
    else:
        review, method = _tail(ordered).prediction(rate), f"exponential tail over {count} held-out scores"
        warnings += _shortage(count, rate)
    reject = max(review, _tail(ordered).estimate(rate * _REJECT_SHARE))
    return ScoreLimits(Limits(review=review, reject=reject), rate, method, tuple(warnings))


def _shortage(count: int, rate: float) -> list[str]:
    if count >= needed_count(rate):
        return []
    shortage = (
        f"{count} held-out good images cannot prove a false-reject rate of {rate:.2%}; {needed_count(rate)} could"
    )
    return [f"{shortage}: the limits rest on a fitted tail. Watch the rejects, and give more images"]


def _tail(ordered: Sequence[float]) -> _Tail:
    count = len(ordered)
    exceedances = min(count - 1, _TAIL_MAXIMUM, max(_TAIL_MINIMUM, round(count * _TAIL_SHARE)))
    threshold = ordered[count - exceedances - 1]
    mean = sum(score - threshold for score in ordered[count - exceedances :]) / exceedances
    return _Tail(threshold, mean, exceedances, count)
