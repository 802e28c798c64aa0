"""How a PatchCore bundle is searched: exactly over its bank, or by a graph that holds the bank as a constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from edge_runtime.detectors.search_bundle import has_exact_search, load_neighbours, load_search
from edge_runtime.detectors.search_reweight import reweighted
from edge_runtime.detectors.wiring import load_graph, require_output
from edge_runtime.domain.errors import BundleError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]
    Truths = npt.NDArray[np.bool_]

_LARGEST: Final = np.float32(1e18)
"""Squares of larger features leave float32."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a search says of one picture."""

    score: float
    """NaN where a patch that counts is not finite."""
    distances: Callable[[], Floats]
    """P: each patch's distance, NaN where it is not finite. May take long; raises EngineError."""


class PatchSearch(Protocol):
    """A memory bank that can be asked."""

    def look(self, patches: Floats, counted: Numbers | None) -> Look:
        """Score patches.

        Args:
            patches: P×C.
            counted: numbers of those that matter, ascending; None: all.

        Raises:
            EngineError: the engine failed.
        """


def create_search(bundle: ModelBundle, payloads: PayloadReader, engine: Engine, patches: int) -> PatchSearch:
    """The search that the bundle carries, for P patches at a time.

    Raises:
        BundleError: a payload, graph or output that it needs is missing or wrong.
        EngineError: the engine cannot load a graph.
    """
    if has_exact_search(bundle):
        return BankSearch(bundle, payloads, engine, patches)
    return GraphSearch(bundle, payloads, engine)


class BankSearch:
    """The bank as an array: `bank`, `origin`, the graphs `coarse` and `whole`, perhaps `around` (see `search_exact`).

    With `neighbours` the score is reweighted.
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine, patches: int) -> None:
        """Load it; raises as `create_search` does."""
        self._search = load_search(bundle, payloads, engine, patches)
        self._neighbours = load_neighbours(bundle, payloads, len(self._search.rows))

    def look(self, patches: Floats, counted: Numbers | None) -> Look:
        """See `PatchSearch`."""
        if patches.shape[1] != self._search.rows.shape[1]:
            raise EngineError(
                f"patches of {patches.shape[1]} features for a bank of {self._search.rows.shape[1]}",
                "convert the bundle again",
            )
        finite = None if np.isfinite(patches).all() else _finite(patches)
        known = patches if finite is None else np.where(finite[:, None], patches, np.float32(0))
        score = math.nan if not (finite is None or _all(finite, counted)) else self._score(known, counted)

        def distances() -> Floats:
            found = self._search.distances(known)
            return found if finite is None else np.where(finite, found, np.float32(np.nan))

        return Look(score, distances)

    def _score(self, patches: Floats, counted: Numbers | None) -> float:
        found = self._search.farthest(patches, counted)
        if self._neighbours is None:
            return float(np.sqrt(found.squared))
        return reweighted(found.squared, patches[found.patch], self._search.rows[self._neighbours[found.row]])


class GraphSearch:
    """`search` has one input, the patches, and gives `distances`, float32 [P], as bundles up to 0.2 have it."""

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load it; raises as `create_search` does."""
        self._graph = load_graph(bundle, "search", payloads, engine)
        self._output = require_output(bundle, "distances", self._graph)
        inputs = [info.name for info in self._graph.inputs]
        if len(inputs) != 1:
            raise BundleError(
                f"the search graph of bundle {bundle.identity.name} has the inputs {inputs}, it should have one",
                "convert the bundle again",
            )
        self._input = inputs[0]

    def look(self, patches: Floats, counted: Numbers | None) -> Look:
        """See `PatchSearch`."""
        found = self._graph.run({self._input: patches}, [self._output])[self._output]
        if found.size != len(patches):
            raise EngineError(
                f"the graphs gave {len(patches)} patches and {found.size} distances", "convert the bundle again"
            )
        distances = found.reshape(-1).astype(np.float32, copy=False)
        if not (patches.max() <= _LARGEST and patches.min() >= -_LARGEST):
            sound = (np.abs(patches) <= _LARGEST).all(axis=1)
            # A search graph may swallow NaN, also one that it makes itself of values whose products leave float32 (a
            # ReLU before the root makes it distance 0): a broken patch is no match.
            distances = np.where(sound, distances, np.float32(np.nan))
        return Look(float(np.max(distances if counted is None else distances[counted])), lambda: distances)


def _finite(patches: Floats) -> Truths:
    return np.asarray(np.isfinite(patches).all(axis=1), dtype=np.bool_)


def _all(finite: Truths, counted: Numbers | None) -> bool:
    return counted is not None and bool(finite[counted].all())
