from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from exact_search_maker import PATCHES, engine_named, exact, hard_banks
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_convert.standing import neighbours_of
from edge_runtime.detectors.search_distance import brute_force, squared_distances
from edge_runtime.detectors.search_screen import GraphScreen, PlainScreen

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.detectors.search_exact import ExactSearch

    Floats = npt.NDArray[np.float32]

BANKS = hard_banks()
LARGEST = np.finfo(np.float32).max


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def searches(request: pytest.FixtureRequest) -> dict[str, ExactSearch]:
    """Every hard bank on an engine."""
    if request.param == "openvino":
        pytest.importorskip("openvino", reason="needs the extra `openvino`")
    engine = engine_named(request.param)
    found = {name: exact(rows, engine) for name, rows in BANKS.items()}
    assert all(isinstance(search.whole, GraphScreen) for search in found.values())
    return found


@st.composite
def hard_patches(draw: st.DrawFn, rows: Floats) -> Floats:
    """A grid of patches, each of one of the kinds that go wrong first."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = max(float(rows.std(dtype=np.float64)), 1e-3)
    kinds = draw(st.lists(st.integers(0, 8), min_size=PATCHES, max_size=PATCHES))
    patches = np.empty((PATCHES, rows.shape[1]), dtype=np.float32)
    for place, kind in enumerate(kinds):
        one, other = rows[random.integers(len(rows), size=2)]
        noise = random.normal(0, spread, rows.shape[1])
        with np.errstate(over="ignore"):
            patches[place] = [
                one,
                one / 2 + other / 2,
                np.nextafter(one, np.float32(1)),
                one + noise,
                patches[place - 1] if place else one,
                np.zeros_like(one),
                np.full_like(one, 1e-42),
                np.clip(noise * 1e20, -LARGEST, LARGEST),
                np.where(noise > 0, LARGEST, -LARGEST),
            ][kind]
    return np.clip(patches, -LARGEST, LARGEST)


def require_equal(search: ExactSearch, patches: Floats, counted: npt.NDArray[np.intp] | None = None) -> None:
    """The same bits as brute force, and the same patch and row where several are equal."""
    squared, rows = brute_force(patches, search.rows)
    among = np.arange(len(patches)) if counted is None else counted
    patch = int(among[np.argmax(squared[among])])
    found = search.farthest(patches, counted)
    assert (found.squared.tobytes(), found.patch, found.row) == (squared[patch].tobytes(), patch, int(rows[patch]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_score_patch_and_row_are_those_of_brute_force(searches: dict[str, ExactSearch], data: st.DataObject) -> None:
    """Ties, duplicates, denormals, zeros, infinite squares: on either engine the search equals float32, bit for bit."""
    name = data.draw(st.sampled_from(sorted(BANKS)))
    patches = data.draw(hard_patches(BANKS[name]))
    require_equal(searches[name], patches)
    counted = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=PATCHES, max_size=PATCHES)))
    if counted.size:
        require_equal(searches[name], patches, counted)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_distance_of_the_map_is_that_of_brute_force(
    searches: dict[str, ExactSearch], data: st.DataObject
) -> None:
    """What the map is drawn from, too, is exact."""
    name = data.draw(st.sampled_from(sorted(BANKS)))
    patches = data.draw(hard_patches(BANKS[name]))
    expected = np.sqrt(brute_force(patches, searches[name].rows)[0])
    assert searches[name].distances(patches).tobytes() == expected.tobytes()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_suggestions_cost_time_and_never_the_answer(data: st.DataObject) -> None:
    """With the worst suggestions, the smallest batches and rows tried around them the result is the same."""
    name = data.draw(st.sampled_from(["normal", "duplicates", "whole numbers", "outliers", "wide"]))
    search = exact(BANKS[name], engine_named("onnxruntime"))
    rows = search.rows
    worst = data.draw(st.integers(0, len(rows) - 1))
    hostile = dataclasses.replace(
        search,
        suggest=lambda patches: np.full(len(patches), worst),
        around=neighbours_of(rows, len(rows), min(65, len(rows)))[:, 1:],
        whole=PlainScreen(rows, search.lattice, search.errors, data.draw(st.integers(1, 7))),
    )
    require_equal(hostile, data.draw(hard_patches(BANKS[name])))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_distance_does_not_depend_on_its_company(channels: int, count: int, seed: int) -> None:
    """The distance to a row is the same bits alone, among others, and with one patch per row."""
    draw = np.random.default_rng(seed)
    rows = (draw.normal(0, 1, (count, channels)) * 10.0 ** draw.integers(-20, 20)).astype(np.float32)
    patch = draw.normal(0, 1, channels).astype(np.float32)
    together = squared_distances(patch, rows)
    alone = np.concatenate([squared_distances(patch, rows[at : at + 1]) for at in range(count)])
    paired = squared_distances(np.repeat(patch[None], count, axis=0), rows)
    assert together.tobytes() == alone.tobytes() == paired.tobytes()


def test_a_large_bank_meets_its_rows_around(searches: dict[str, ExactSearch]) -> None:
    """From 4,096 rows on a bundle lists the rows around those that stand for all; the result stays the same."""
    assert all(search.around is None for search in searches.values())
    draw = np.random.default_rng(8)
    prototypes = draw.normal(0, 1, (PATCHES, 6)) @ draw.normal(0, 1, (6, 32))
    rows = (prototypes.repeat(210, axis=0) + draw.normal(0, 0.3, (PATCHES * 210, 32))).astype(np.float32)
    search = exact(rows, engine_named("onnxruntime"))
    assert search.around is not None
    for _ in range(20):
        require_equal(search, (prototypes + draw.normal(0, 0.3, prototypes.shape)).astype(np.float32))
