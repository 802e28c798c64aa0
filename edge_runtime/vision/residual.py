"""Criteria of a residual: one number that says how far a part is from its reconstruction.

A reconstruction that is trained on good parts errs everywhere a little and at a defect much. Which statistic of the
residual tells the two apart best depends on the part: a small blow hole hardly moves the mean, but it sets the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_runtime.vision.anomaly_map import smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import InputSpec

    Residual = npt.NDArray[np.floating[Any]]
    _Values = npt.NDArray[np.float64]

ENTROPY_BINS: Final = 256
"""Bins of the entropy's histogram: one per grey level of an 8-bit image."""

_COLOUR_DIMENSIONS: Final = 3


class Criterion(StrEnum):
    """A statistic over all N values r of a residual, all pixels and channels alike; μ is their mean."""

    MEAN = "mean"
    """μ = Σr / N."""
    STANDARD_DEVIATION = "standard_deviation"
    """√(Σ(r − μ)² / N)."""
    VARIANCE = "variance"
    """Σ(r − μ)² / N."""
    KURTOSIS = "kurtosis"
    """Excess kurtosis Σ(r − μ)⁴ / N / variance² − 3: 0 for a normal distribution, large for few large errors."""
    SKEWNESS = "skewness"
    """Σ(r − μ)³ / N / variance^1.5."""
    RANGE = "range"
    """max r − min r."""
    MINIMUM = "minimum"
    """min r. Of a signed residual a defect that is darker than its surroundings makes it *low*."""
    MAXIMUM = "maximum"
    """max r."""
    SUM = "sum"
    """Σr."""
    MSE = "mse"
    """Σr² / N."""
    ENTROPY = "entropy"
    """−Σ p·log₂ p in bits, p the shares of N in the bins of a `Histogram`; an empty bin adds nothing."""


class ResidualForm(StrEnum):
    """What is taken for the residual before a criterion is."""

    SIGNED = "signed"
    """input − reconstruction."""
    ABSOLUTE = "absolute"
    """|input − reconstruction|."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Equal bins between `low` and `high`; values outside count in the first or last bin."""

    low: float = -1.0
    high: float = 1.0
    bins: int = ENTROPY_BINS


DEFAULT_HISTOGRAM: Final = Histogram()
"""For signed residuals of images in 0…1."""


def residual_of(
    image: Residual, reconstruction: Residual, form: ResidualForm, sigma_px: float = 0.0
) -> npt.NDArray[np.float32]:
    """Input less reconstruction, float32 as the network gives both.

    Args:
        image: H×W×C, as the network saw it.
        reconstruction: same shape.
        form: signed or absolute.
        sigma_px: of a Gaussian over the signed residual, channel by channel, so that the noise of single pixels does
            not set the extremes; 0 changes nothing.

    Returns:
        H×W×C.
    """
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is NaN, which the criteria refuse
        difference = np.subtract(image, reconstruction, dtype=np.float32)
    if sigma_px > 0:
        channels = [smooth(difference[:, :, channel], sigma_px) for channel in range(difference.shape[2])]
        difference = np.stack(channels, axis=2)
    return np.abs(difference) if form is ResidualForm.ABSOLUTE else difference


def usual_sign(criterion: Criterion, form: ResidualForm) -> int:
    """−1 where a low value is anomalous unless something else is known: the minimum of a signed residual."""
    return -1 if criterion is Criterion.MINIMUM and form is ResidualForm.SIGNED else 1


def entropy_histogram(spec: InputSpec, form: ResidualForm) -> Histogram:
    """All that two images in the range that `spec` gives can differ by: −1…1 where it neither scales nor normalises."""
    full = 255.0 if spec.dtype == "uint8" else spec.scale / min(spec.std)
    return Histogram(-full if form is ResidualForm.SIGNED else 0.0, full)


def criterion_value(residual: Residual, criterion: Criterion, histogram: Histogram = DEFAULT_HISTOGRAM) -> float:
    """One criterion of a residual, summed in float64.

    A constant residual has variance, skewness, kurtosis, range and entropy 0. A residual with a value that is not
    finite has no criterion: the result is NaN, whatever the criterion, so that no broken reconstruction looks good.

    Args:
        residual: H×W, H×W×C, or what a mask leaves of one; not empty.
        criterion: which.
        histogram: of the entropy; the others do not look at it.

    Raises:
        ValueError: the residual is empty.
    """
    values = _values(residual)
    if not np.isfinite(values).all():
        return math.nan
    return _entropy(values, histogram) if criterion is Criterion.ENTROPY else _STATISTICS[criterion](values)


def residual_map(residual: Residual) -> AnomalyMap:
    """Anomaly map: the absolute residual, averaged over the channels; H×W float32."""
    magnitude = np.abs(residual)
    mean = np.mean(magnitude, axis=2, dtype=np.float64) if magnitude.ndim == _COLOUR_DIMENSIONS else magnitude
    return np.asarray(mean, dtype=np.float32)


def _values(residual: Residual) -> _Values:
    if residual.size == 0:
        message = f"a residual of shape {residual.shape} has no criterion"
        raise ValueError(message)
    return residual.astype(np.float64).reshape(-1)


def _mse(values: _Values) -> float:
    return float(np.mean(np.square(values)))


def _range(values: _Values) -> float:
    return float(np.max(values)) - float(np.min(values))


def _variance(values: _Values) -> float:
    scale, spread = _range(values), _central(values, 2)
    return spread * scale * scale


def _skewness(values: _Values) -> float:
    spread = _central(values, 2)
    return _central(values, 3) / spread**1.5 if spread else 0.0


def _kurtosis(values: _Values) -> float:
    spread = _central(values, 2)
    return _central(values, 4) / spread**2 - 3.0 if spread else 0.0


def _central(values: _Values, order: int) -> float:
    """Central moment in units of the range: no power overflows; 0 if constant, whatever the mean rounds to."""
    scale = _range(values)
    if not scale:
        return 0.0
    deviation = (values - np.mean(values)) / scale
    power = np.square(deviation)
    for _ in range(order - 2):
        power *= deviation
    return float(np.mean(power))


def _entropy(values: _Values, histogram: Histogram) -> float:
    position = (values - histogram.low) / (histogram.high - histogram.low) * histogram.bins
    counts = np.bincount(np.clip(position, 0, histogram.bins - 1).astype(np.intp), minlength=histogram.bins)
    share = counts[counts > 0] / values.size
    return 0.0 - float(np.sum(share * np.log2(share)))  # not −x: of a single bin that is −0.0


_STATISTICS: Final[Mapping[Criterion, Callable[[_Values], float]]] = {
    Criterion.MEAN: lambda values: float(np.mean(values)),
    Criterion.STANDARD_DEVIATION: lambda values: math.sqrt(_variance(values)),
    Criterion.VARIANCE: _variance,
    Criterion.KURTOSIS: _kurtosis,
    Criterion.SKEWNESS: _skewness,
    Criterion.RANGE: _range,
    Criterion.MINIMUM: lambda values: float(np.min(values)),
    Criterion.MAXIMUM: lambda values: float(np.max(values)),
    Criterion.SUM: lambda values: float(np.sum(values)),
    Criterion.MSE: _mse,
}
