"""Criteria of a residual."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.residual import (
    Criterion,
    Histogram,
    ResidualForm,
    criterion_value,
    entropy_histogram,
    residual_map,
    residual_of,
    usual_sign,
)

SHAPES = st.one_of(nps.array_shapes(min_dims=2, max_dims=2, max_side=9), st.tuples(st.just(5), st.just(4), st.just(3)))
ANY = nps.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
UNIT = nps.arrays(np.float32, SHAPES, elements=st.floats(-1, 1, width=32))


def all_criteria(residual: np.ndarray) -> dict[Criterion, float]:
    """Each as the detector asks for it."""
    return {criterion: criterion_value(residual, criterion) for criterion in Criterion}


def exact(residual: np.ndarray) -> dict[Criterion, float]:
    """The moments in exact arithmetic, where they are defined."""
    values = [Fraction(float(value)) for value in residual.reshape(-1)]
    count = len(values)
    mean = sum(values) / count
    second, third, fourth = (sum((value - mean) ** order for value in values) / count for order in (2, 3, 4))
    found = {
        Criterion.MEAN: float(mean),
        Criterion.SUM: float(sum(values)),
        Criterion.MSE: float(sum(value**2 for value in values) / count),
        Criterion.VARIANCE: float(second),
        Criterion.STANDARD_DEVIATION: math.sqrt(second),
        Criterion.MINIMUM: float(min(values)),
        Criterion.MAXIMUM: float(max(values)),
        Criterion.RANGE: float(max(values) - min(values)),
        Criterion.SKEWNESS: 0.0,
        Criterion.KURTOSIS: 0.0,
    }
    if second:
        found[Criterion.SKEWNESS] = math.copysign(math.sqrt(third**2 / second**3), third)
        found[Criterion.KURTOSIS] = float(fourth / second**2) - 3
    return found


@given(UNIT)
def test_criteria_are_those_of_exact_arithmetic(residual: np.ndarray) -> None:
    """Every moment and extreme of an image's residual agrees to eleven places with exact fractions."""
    found = all_criteria(residual)
    scale = float(np.max(np.abs(residual))) or 1.0
    for criterion, value in exact(residual).items():
        assert found[criterion] == pytest.approx(value, rel=1e-9, abs=1e-11 * scale), criterion


@given(ANY)
def test_any_finite_residual_has_finite_criteria(residual: np.ndarray) -> None:
    """From subnormal to the largest float32, without a warning; what one criterion says fits the others."""
    found = all_criteria(residual)
    assert all(math.isfinite(value) for value in found.values())
    assert found[Criterion.MINIMUM] <= found[Criterion.MEAN] + 1e-6 * abs(found[Criterion.MEAN])
    assert found[Criterion.RANGE] == found[Criterion.MAXIMUM] - found[Criterion.MINIMUM] >= 0
    assert found[Criterion.VARIANCE] == pytest.approx(found[Criterion.STANDARD_DEVIATION] ** 2)
    assert 0 <= found[Criterion.ENTROPY] <= math.log2(256)
    assert found[Criterion.KURTOSIS] >= found[Criterion.SKEWNESS] ** 2 - 2 - 1e-6 or found[Criterion.RANGE] == 0


@given(UNIT, st.randoms(use_true_random=False))
def test_the_place_of_an_error_does_not_matter(residual: np.ndarray, random) -> None:
    """A criterion sees the values, not the picture."""
    values = residual.reshape(-1).tolist()
    random.shuffle(values)
    shuffled = np.array(values, dtype=np.float32).reshape(residual.shape)
    before, after = all_criteria(residual), all_criteria(shuffled)
    for criterion, value in before.items():
        assert after[criterion] == pytest.approx(value, rel=1e-9, abs=1e-12), criterion


@given(SHAPES, st.floats(-1, 1, width=32))
def test_a_constant_residual_has_no_spread(shape: tuple[int, ...], level: float) -> None:
    """Spread, shape and entropy are 0, exactly, whatever the mean rounds to."""
    found = all_criteria(np.full(shape, level, dtype=np.float32))
    flat = (Criterion.STANDARD_DEVIATION, Criterion.VARIANCE, Criterion.KURTOSIS, Criterion.SKEWNESS)
    assert [found[one] for one in (*flat, Criterion.RANGE, Criterion.ENTROPY)] == [0.0] * 6
    assert found[Criterion.MEAN] == pytest.approx(level, rel=1e-12)
    assert found[Criterion.MSE] == pytest.approx(level**2, rel=1e-12)


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_broken_value_leaves_no_criterion(criterion: Criterion, broken: float) -> None:
    """One NaN among a thousand values makes every criterion NaN; a minimum does not look past it."""
    residual = np.zeros((32, 32), dtype=np.float32)
    residual[3, 4] = broken
    assert math.isnan(criterion_value(residual, criterion))


def test_sums_do_not_drift() -> None:
    """A million values far from 0: float32 sums would lose the variance altogether."""
    draw = np.random.default_rng(0)
    residual = (4096 + draw.normal(0, 0.01, (1000, 1000))).astype(np.float32)
    expected = np.var(residual.astype(np.longdouble))
    assert criterion_value(residual, Criterion.VARIANCE) == pytest.approx(float(expected), rel=1e-9)


def test_entropy_counts_bins() -> None:
    """Equal shares in k bins are log₂ k bits; a value outside counts in the last bin; one bin is 0 bits."""
    levels = np.linspace(-0.9, 0.9, 8, dtype=np.float32).repeat(4).reshape(8, 4)
    assert criterion_value(levels, Criterion.ENTROPY) == pytest.approx(3.0)
    assert criterion_value(levels, Criterion.ENTROPY, Histogram(-1, 1, 2)) == pytest.approx(1.0)
    assert criterion_value(levels + 5, Criterion.ENTROPY) == 0.0


@pytest.mark.parametrize(("scale", "std", "reach"), [(1.0, 1.0, 1.0), (255.0, 1.0, 255.0), (1.0, 0.25, 4.0)])
@pytest.mark.parametrize("form", ResidualForm)
def test_entropy_does_not_depend_on_the_range_that_a_network_works_in(
    scale: float, std: float, reach: float, form: ResidualForm
) -> None:
    """The histogram spans what images can differ by, so a residual has the same entropy before and after scaling."""
    spec = InputSpec("x", 8, 8, Resize.AREA, ColourOrder.MONO, Layout.NCHW, "float32", scale, (0.0,), (std,))
    found = entropy_histogram(spec, form)
    assert (found.low, found.high) == (-reach if form is ResidualForm.SIGNED else 0.0, reach)
    residual = np.random.default_rng(0).integers(0, 40, (20, 20)).astype(np.float32) / 64
    plain = criterion_value(residual, Criterion.ENTROPY, Histogram(found.low / reach, 1.0))
    assert criterion_value(residual * np.float32(reach), Criterion.ENTROPY, found) == pytest.approx(plain)


def test_an_empty_residual_is_refused() -> None:
    """A mask that leaves nothing leaves no criterion."""
    with pytest.raises(ValueError, match="no criterion"):
        criterion_value(np.zeros((0, 3), dtype=np.float32), Criterion.MEAN)


def test_a_small_defect_moves_the_range_and_hardly_the_mean() -> None:
    """Why the criterion matters: one dark spot of four pixels in a noisy residual."""
    draw = np.random.default_rng(1)
    good = draw.normal(0, 0.02, (64, 64)).astype(np.float32)
    bad = good.copy()
    bad[30:32, 30:32] -= 0.4
    assert criterion_value(bad, Criterion.RANGE) > 2.5 * criterion_value(good, Criterion.RANGE)
    assert abs(criterion_value(bad, Criterion.MEAN) - criterion_value(good, Criterion.MEAN)) < 0.001
    assert criterion_value(bad, Criterion.KURTOSIS) > 10


def test_the_residual_is_input_less_reconstruction() -> None:
    """Signed or absolute, float32; smoothing comes before the sign is dropped, so that noise cancels."""
    image = np.full((6, 6, 1), 0.25, dtype=np.float32)
    reconstruction = np.where(np.indices((6, 6)).sum(axis=0)[..., None] % 2, 0.0, 0.5).astype(np.float32)
    signed = residual_of(image, reconstruction, ResidualForm.SIGNED)
    assert signed.dtype == np.float32
    assert (signed.min(), signed.max()) == (-0.25, 0.25)
    np.testing.assert_array_equal(residual_of(image, reconstruction, ResidualForm.ABSOLUTE), np.abs(signed))
    soft = residual_of(image, reconstruction, ResidualForm.ABSOLUTE, sigma_px=2.0)
    assert soft.shape == image.shape
    assert soft.max() < 0.01


def test_the_map_is_the_absolute_residual_of_all_channels() -> None:
    """Averaged, H×W float32."""
    residual = np.zeros((4, 5, 3), dtype=np.float32)
    residual[1, 2] = (0.3, -0.6, 0.0)
    found = residual_map(residual)
    assert found.shape == (4, 5)
    assert found.dtype == np.float32
    assert found[1, 2] == pytest.approx(0.3)
    assert np.count_nonzero(found) == 1


def test_only_the_minimum_of_a_signed_residual_is_usually_low_at_defects() -> None:
    """Of an absolute residual the minimum is high if anything."""
    low = [(one, form) for one in Criterion for form in ResidualForm if usual_sign(one, form) < 0]
    assert low == [(Criterion.MINIMUM, ResidualForm.SIGNED)]
