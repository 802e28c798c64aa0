"""Pixel figures against brute force on small maps, and their error bound."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_convert.evaluate.metrics import image_auroc
from edge_convert.evaluate.pixels import PixelTally

Case = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]

shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))
tied = st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.25, 1.0, 3.5])
smooth = st.floats(-100, 100, width=32)
near = st.floats(1.0, 1.0009765625, width=32)  # eight bins: scores share one, so the bound has to work for its living


def cases(elements: st.SearchStrategy[float]) -> st.SearchStrategy[Case]:
    """One to three images with maps of these values and any masks."""
    image = shapes.flatmap(
        lambda shape: st.tuples(hnp.arrays(np.float32, shape, elements=elements), hnp.arrays(np.bool_, shape))
    )
    return st.lists(image, min_size=1, max_size=3)


def flood_regions(mask: npt.NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Connected regions (8-neighbourhood) by flood fill: the obvious way."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    while left:
        stack, region = [left.pop()], []
        while stack:
            y, x = stack.pop()
            region.append((y, x))
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            stack.extend(around)
        regions.append(region)
    return regions


def brute_aupro(case: Case, limit: float) -> float:
    """AUPRO by looking at every region at every threshold, as the paper says it."""
    normal = np.concatenate([scores[~mask] for scores, mask in case])
    regions = [np.array([scores[pixel] for pixel in region]) for scores, mask in case for region in flood_regions(mask)]
    points = [(0.0, 0.0)]
    for threshold in sorted({float(value) for scores, _ in case for value in scores.ravel()}, reverse=True):
        overlap = np.mean([np.mean(region >= threshold) for region in regions])
        points.append((float(np.mean(normal >= threshold)), float(overlap)))
    area = 0.0
    for (left, bottom), (right, top) in itertools.pairwise(points):
        if left >= limit:
            break
        cut = min(right, limit)
        at_cut = bottom + (top - bottom) * ((cut - left) / (right - left) if right > left else 1.0)
        area += (cut - left) * (bottom + at_cut) / 2
    return area / limit


def tally(case: Case) -> PixelTally:
    """All images counted."""
    counted = PixelTally()
    for scores, mask in case:
        counted.add(scores, mask)
    return counted


def has_both(case: Case) -> bool:
    """Normal and defective pixels exist."""
    return any(mask.any() for _, mask in case) and not all(mask.all() for _, mask in case)


@settings(deadline=None, max_examples=60)
@given(st.one_of(cases(tied), cases(smooth), cases(near)).filter(has_both), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_agrees_with_brute_force_within_its_bound(case: Case, limit: float) -> None:
    """The streamed AUPRO lies within its stated bound of region-by-region, threshold-by-threshold counting."""
    figure = tally(case).aupro(limit)
    assert figure is not None
    assert abs(figure.value - brute_aupro(case, limit)) <= figure.error_bound + 1e-9


@settings(deadline=None, max_examples=60)
@given(st.one_of(cases(tied), cases(smooth), cases(near)).filter(has_both))
def test_pixel_auroc_agrees_with_the_exact_one_within_its_bound(case: Case) -> None:
    """The streamed pixel AUROC lies within its stated bound of the exact rank statistic."""
    figure = tally(case).pixel_auroc()
    exact = image_auroc(
        np.concatenate([scores[~mask] for scores, mask in case]),
        np.concatenate([scores[mask] for scores, mask in case]),
    )
    assert figure is not None
    assert abs(figure.value - exact) <= figure.error_bound + 1e-9


@settings(deadline=None, max_examples=40)
@given(cases(tied).filter(has_both))
def test_well_separated_scores_are_exact(case: Case) -> None:
    """Where distinct scores fall into distinct bins nothing is lost: only true ties share a bin."""
    figure = tally(case).pixel_auroc()
    exact = image_auroc(
        np.concatenate([scores[~mask] for scores, mask in case]),
        np.concatenate([scores[mask] for scores, mask in case]),
    )
    assert figure is not None
    assert figure.value == pytest.approx(exact, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(cases(smooth).filter(has_both), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(case, random) -> None:
    """Streaming images in another order gives the same figures."""
    one, other = tally(case), tally(random.sample(case, len(case)))
    assert one.pixel_auroc() == other.pixel_auroc()
    first, second = one.aupro(0.3), other.aupro(0.3)
    assert first is not None
    assert second is not None
    assert first.value == pytest.approx(second.value, abs=1e-9)


def test_bound_is_small_on_realistic_maps() -> None:
    """On continuous scores over a factor of eight the bound is below 1e-4: the figures' printed digits are true."""
    generator = np.random.default_rng(5)
    counted = PixelTally()
    for _ in range(3):
        mask = np.zeros((200, 200), np.bool_)
        mask[40:80, 50:90] = True
        counted.add((1 + 7 * generator.random((200, 200)) + mask).astype(np.float32), mask)
    figures = (counted.pixel_auroc(), counted.aupro(0.3))
    assert all(figure is not None and figure.error_bound < 1e-4 for figure in figures)


def test_regions_count_alike_whatever_their_size() -> None:
    """A found dot and a missed slab make a per-region overlap of one half, although the slab has more pixels."""
    scores, mask = np.zeros((20, 20), np.float32), np.zeros((20, 20), np.bool_)
    mask[0, 0] = True
    mask[10:20, :] = True
    scores[0, 0] = 1.0
    scores[5:10, :] = 0.5  # a third of the normal pixels score above the missed slab
    figure = PixelTally()
    figure.add(scores, mask)
    result = figure.aupro(0.3)
    assert result is not None
    assert result.value == pytest.approx(0.5)
    assert figure.regions == 2


def test_defect_where_the_model_does_not_look_is_never_found() -> None:
    """Outside the inspected region a defect counts as missed, and good pixels there do not flatter the figure."""
    scores, mask = np.full((4, 4), -np.inf, np.float32), np.zeros((4, 4), np.bool_)
    scores[:, :2] = 1.0
    mask[:, 3] = True
    counted = PixelTally()
    counted.add(scores, mask, ignore=np.isneginf(scores))
    figure = counted.pixel_auroc()
    assert figure is not None
    assert figure.value == 0.0


def test_one_kind_of_pixels_gives_no_figure() -> None:
    """Without any defect there is nothing to find: None, not 0 or 1."""
    counted = PixelTally()
    counted.add(np.ones((3, 3), np.float32), np.zeros((3, 3), np.bool_))
    assert counted.pixel_auroc() is None
    assert counted.aupro(0.3) is None


def test_unusable_maps_are_refused_and_not_counted() -> None:
    """A NaN or a size that differs is an error that leaves the tally as it was."""
    counted = PixelTally()
    with pytest.raises(ValueError, match="NaN"):
        counted.add(np.full((2, 2), np.nan, np.float32), np.ones((2, 2), np.bool_))
    with pytest.raises(ValueError, match="same size"):
        counted.add(np.ones((2, 3), np.float32), np.ones((2, 2), np.bool_))
    assert (counted.images, counted.regions) == (0, 0)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan")])
def test_senseless_fpr_limits_are_refused(limit: float) -> None:
    """The limit of integration is a share of normal pixels above 0."""
    with pytest.raises(ValueError, match="FPR limit"):
        PixelTally().aupro(limit)
