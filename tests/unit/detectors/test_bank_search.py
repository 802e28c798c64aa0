from __future__ import annotations

import dataclasses
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from exact_search_maker import PATCHES, bank_search, bundle_of, engine_named, exact, hard_banks
from heard import heard

from edge_runtime.bundles.writer import MemoryPayloads
from edge_runtime.detectors.patchcore_search import create_search
from edge_runtime.detectors.search_bundle import load_search
from edge_runtime.detectors.search_distance import brute_force
from edge_runtime.detectors.search_reweight import reweighted
from edge_runtime.detectors.search_screen import PlainScreen
from edge_runtime.domain.errors import BundleError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from edge_runtime.engine.port import Engine, Graph, Tensor, TensorInfo

    Floats = npt.NDArray[np.float32]

ROWS = hard_banks()["normal"]


class SaturatingGraph:
    """A graph on a processor that keeps pairs of products in 16 bits: large products come out too small."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs: Sequence[TensorInfo] = graph.inputs
        self.outputs: Sequence[TensorInfo] = graph.outputs

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See the port."""
        return {name: np.maximum(value, 0) for name, value in self._graph.run(feeds, outputs).items()}


class SaturatingEngine:
    """onnxruntime on that processor."""

    name = "onnxruntime"
    description = "saturating"

    def __init__(self) -> None:
        self._engine: Engine = engine_named("onnxruntime")

    def load(self, model: bytes) -> Graph:
        """See the port."""
        return SaturatingGraph(self._engine.load(model))


def patches(seed: int) -> Floats:
    """A picture's."""
    return np.random.default_rng(seed).normal(0, 1, (PATCHES, ROWS.shape[1])).astype(np.float32)


def test_an_engine_whose_products_are_not_whole_is_done_without() -> None:
    """Saturation is found at loading and told; the search then computes the products itself, and stays exact."""
    with heard("edge_runtime.detectors.search_bundle") as told:
        search = exact(ROWS, SaturatingEngine())
    assert isinstance(search.whole, PlainScreen)
    assert any("INT8 products" in line for line in told)
    squared, rows = brute_force(patches(1), search.rows)
    found = search.farthest(patches(1))
    patch = int(np.argmax(squared))
    assert (found.squared, found.patch, found.row) == (squared[patch], patch, rows[patch])


def test_a_graph_of_another_bank_is_found_out() -> None:
    """A bundle whose INT8 graph holds other rows than its bank is searched by the bank alone."""
    manifest, payloads = bundle_of(ROWS)
    _, others = bundle_of(np.flip(ROWS, axis=1))
    content = {name: payloads.read(name) for name in manifest.payloads} | {"whole.onnx": others.read("whole.onnx")}
    search = load_search(manifest, MemoryPayloads(content), engine_named("onnxruntime"), PATCHES)
    assert isinstance(search.whole, PlainScreen)


@pytest.mark.parametrize("place", [0, PATCHES - 1])
def test_a_patch_that_is_not_finite_makes_no_score(place: int) -> None:
    """NaN or infinity among the patches that count gives NaN; among those that do not count it changes nothing."""
    search = bank_search(ROWS, engine_named("onnxruntime"))
    broken = patches(2)
    others = np.delete(np.arange(PATCHES), place)
    sound = search.look(broken, others).score
    for value in (np.nan, np.inf, -np.inf):
        broken[place, 3] = value
        look = search.look(broken, None)
        assert math.isnan(look.score)
        assert np.flatnonzero(np.isnan(look.distances())).tolist() == [place]
        assert search.look(broken, others).score == sound


def test_a_score_does_not_depend_on_the_parts_before() -> None:
    """The same picture gives the same score first, after others, and while another thread draws a map."""
    search = bank_search(ROWS, engine_named("onnxruntime"))
    first = [search.look(patches(seed), None).score for seed in range(5)]
    look = search.look(patches(9), None)
    drawn: list[Floats] = []
    thread = threading.Thread(target=lambda: drawn.extend(look.distances() for _ in range(20)))
    thread.start()
    again = [search.look(patches(seed), None).score for seed in reversed(range(5))]
    thread.join()
    assert again == first[::-1]
    assert all(distances.max() == np.float32(look.score) for distances in drawn)


def test_maps_are_drawn_on_other_threads_with_openvino() -> None:
    """Two threads on one OpenVINO graph wait for each other and do not mix their results."""
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    search = bank_search(ROWS, engine_named("openvino"))
    looks = [search.look(patches(seed), None) for seed in range(3)]
    expected = [look.distances() for look in looks]
    found: dict[int, Floats] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update({at: [looks[at].distances() for _ in range(10)][-1]}))
        for at in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[at] == expected[at]).all() for at in range(3))


def test_the_score_is_reweighted_as_the_paper_says() -> None:
    """Equation 7: 1 − exp(d) / Σ exp(distances to the nearest row and its neighbours), written out."""
    search = bank_search(ROWS, engine_named("onnxruntime"), neighbours=4)
    rows = exact(ROWS, engine_named("onnxruntime")).rows
    for seed in range(5):
        squared, nearest = brute_force(patches(seed), rows)
        patch = int(np.argmax(squared))
        support = np.argsort(np.linalg.norm(rows - rows[nearest[patch]], axis=1), kind="stable")[:4]
        distances = np.linalg.norm(rows[support].astype(np.float64) - patches(seed)[patch], axis=1)
        weight = 1 - np.exp(distances[0]) / np.exp(distances).sum()
        assert search.look(patches(seed), None).score == pytest.approx(weight * distances[0], rel=1e-5)
    assert math.isinf(reweighted(np.float32(np.inf), patches(0)[0], rows[:2]))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("bank.npy", b"no array", "no array"),
        ("bank.npy", None, "no array"),
        ("origin.npy", "bank.npy", "origin"),
    ],
)
def test_a_damaged_bank_is_named(name: str, content: bytes | str | None, text: str) -> None:
    """A payload that is no array, of another type or of another bank is refused at loading."""
    manifest, payloads = bundle_of(ROWS)
    found = {one: payloads.read(one) for one in manifest.payloads}
    found[name] = found[content] if isinstance(content, str) else content or found[name].replace(b"<f4", b"<f8")
    with pytest.raises(BundleError, match=text):
        create_search(manifest, MemoryPayloads(found), engine_named("onnxruntime"), PATCHES)


@pytest.mark.parametrize("change", [{"parameters": {}}, {"parameters": {"patch_step": 0.1, "bank_step": 0.0}}])
def test_a_lattice_without_steps_is_refused(change: dict[str, Any]) -> None:
    """Both steps must be there, above 0."""
    manifest, payloads = bundle_of(ROWS)
    with pytest.raises(BundleError, match="_step"):
        load_search(dataclasses.replace(manifest, **change), payloads, engine_named("onnxruntime"), PATCHES)


def test_rows_that_do_not_exist_are_refused() -> None:
    """Neighbours beyond the bank are found at loading, not at the first part that meets them."""
    manifest, payloads = bundle_of(ROWS[:100], neighbours=3)
    _, larger = bundle_of(ROWS, neighbours=3)
    content = {name: payloads.read(name) for name in manifest.payloads}
    content["neighbours.npy"] = larger.read("neighbours.npy")
    with pytest.raises(BundleError, match="neighbours"):
        create_search(manifest, MemoryPayloads(content), engine_named("onnxruntime"), PATCHES)


def test_patches_of_another_width_are_an_error_of_the_engine() -> None:
    """A features graph that does not fit the bank is told in words."""
    with pytest.raises(EngineError, match="features"):
        bank_search(ROWS, engine_named("onnxruntime")).look(patches(1)[:, :5], None)
