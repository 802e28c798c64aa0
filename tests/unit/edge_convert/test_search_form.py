from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from exact_search_maker import engine_named
from hypothesis import given
from hypothesis import strategies as st

from edge_convert.bank_search import form_of, note_of, search_of
from edge_convert.draft import PatchCoreParts
from edge_convert.features import input_spec
from edge_convert.options import TeachOptions
from edge_convert.search_form import GRAPH_UP_TO, form_for
from edge_convert.teaching.area import Area
from edge_runtime.bundles.writer import MemoryPayloads, manifest_of
from edge_runtime.detectors.patchcore_search import create_search
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_convert.search_form import SearchForm

SIZES = st.integers(1, 20_000)


@given(SIZES, SIZES, st.integers(1, 2_048))
def test_a_bank_that_is_smaller_in_any_way_keeps_the_graph(rows: int, patches: int, channels: int) -> None:
    """Fewer rows, patches or features never turn a graph into an exact search, so the rule is one border."""
    if form_for(rows, patches, channels, 0, "auto") == "graph":
        assert rows * patches * channels <= GRAPH_UP_TO
        for smaller in ((rows // 2, patches, channels), (rows, patches // 2, channels), (rows, patches, channels // 2)):
            assert form_for(*smaller, 0, "auto") == "graph"


@pytest.mark.parametrize(
    ("size", "form"),
    [
        ((400, 192, 288), "graph"),  # the demo for fast belts
        ((2_304, 768, 288), "exact"),  # the demo
        ((500, 1_024, 384), "exact"),  # the smallest that teach makes by default
        ((250, 784, 384), "graph"),
    ],
)
def test_banks_that_were_measured_get_what_was_quicker_for_them(size: tuple[int, int, int], form: str) -> None:
    """On both sides of the border, with what ships among them."""
    assert form_for(*size, 0, "auto") == form


def test_a_score_that_is_reweighted_is_searched_exactly(tmp_path: Path) -> None:
    """A graph gives no neighbours: auto never takes it, and to ask for it is refused before anything is taught."""
    assert form_for(10, 10, 10, 9, "auto") == "exact"
    options = TeachOptions(Path("good"), Path("b.onnx"), tmp_path / "p.bundle", "p", neighbours=9, search="graph")
    with pytest.raises(ConfigError, match="cannot reweight"):
        options.check()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_both_forms_find_the_same_distances(engine: str) -> None:
    """One bank, either form: scores and maps agree to the rounding of a float32 product, on both engines."""
    draw = np.random.default_rng(8)
    rows = draw.gamma(0.5, 1, (150, 40)).astype(np.float32)
    looked = draw.gamma(0.5, 1, (20, 40)).astype(np.float32)
    found = []
    forms: tuple[SearchForm, ...] = ("exact", "graph")
    for wanted in forms:
        parts = PatchCoreParts("p", "1", "", Area(input_spec(32, 40, None)), b"", 4, 5, form=wanted)
        search = parts.search(rows)
        assert form_of(search) == wanted
        assert "as asked" in note_of(search, 1, wanted)
        content = parts.payloads(search)
        manifest = manifest_of(parts.draft(search), content)
        found.append(create_search(manifest, MemoryPayloads(content), engine_named(engine), 20).look(looked, None))
    exact, graph = found
    assert graph.score == pytest.approx(exact.score, rel=1e-5)
    np.testing.assert_allclose(graph.distances(), exact.distances(), rtol=1e-4)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("broken", [3e38, -3e38, np.inf, np.nan])
@pytest.mark.parametrize("form", ["exact", "graph"])
def test_a_patch_beyond_all_reason_is_no_match(engine: str, broken: float, form: SearchForm) -> None:
    """Features that arithmetic cannot bear give no score that a limit could pass, finite or not."""
    draw = np.random.default_rng(8)
    rows = draw.gamma(0.5, 1, (150, 40)).astype(np.float32)
    looked = rows[:20].copy()
    looked[7] = broken
    parts = PatchCoreParts("p", "1", "", Area(input_spec(32, 40, None)), b"", 4, 5, form=form)
    content = parts.payloads(parts.search(rows))
    manifest = manifest_of(parts.draft(parts.search(rows)), content)
    look = create_search(manifest, MemoryPayloads(content), engine_named(engine), 20).look(looked, None)
    assert not np.isfinite(look.score)
    assert not np.isfinite(look.distances()[7])
    assert np.isfinite(np.delete(look.distances(), 7)).all()


def test_the_note_says_which_and_why() -> None:
    """Equal inputs, equal note: the work that decided, no milliseconds."""
    search = search_of(np.eye(12, dtype=np.float32), 6)
    assert note_of(search, 22_118_400, "auto") == (
        "by a float32 graph; brute force would multiply 22 million times a picture"
    )
