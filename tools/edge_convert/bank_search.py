"""What a bundle carries to search its memory bank, in the form that suits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_convert.exact_search import SearchPayloads, build_search
from edge_convert.graphs import DISTANCES
from edge_convert.search_form import form_for
from edge_convert.search_graph import bank_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge_convert.search_form import SearchForm, WantedForm

GRAPH_ROLE: Final = "search"


def search_of(
    rows: npt.NDArray[np.float32], patches: int, neighbours: int = 0, wanted: WantedForm = "auto"
) -> SearchPayloads:
    """The search of a bank for P patches at a time.

    Args:
        rows: the bank, M×C float32, finite.
        patches: P.
        neighbours: of each row, for the reweighting of the score; below 2: none.
        wanted: its form; auto: the one that suits its size.

    Raises:
        ConfigError: see `form_for`.
    """
    if form_for(len(rows), patches, rows.shape[1], neighbours, wanted) == "exact":
        return build_search(rows, patches, neighbours)
    return graph_payloads(bank_of(rows).graph(patches))


def graph_payloads(graph: bytes, name: str = "search.onnx", output: str = DISTANCES) -> SearchPayloads:
    """Of a bank inside a graph (`SearchBank.graph`)."""
    return SearchPayloads({GRAPH_ROLE: name}, {name: graph}, {}, {"distances": output})


def form_of(search: SearchPayloads) -> SearchForm:
    """The form of what was made."""
    return "graph" if GRAPH_ROLE in search.graphs else "exact"


def note_of(search: SearchPayloads, products: int, wanted: WantedForm) -> str:
    """For the bundle: the form, and why it is that; `products` are the `multiplications` of a picture."""
    words = {"graph": "by a float32 graph", "exact": "exactly, with INT8 suggesting rows"}
    why = "as asked" if wanted != "auto" else f"brute force would multiply {products / 1e6:.0f} million times a picture"
    return f"{words[form_of(search)]}; {why}"
