"""Ways to search a memory bank, in turns on the same patches: what the exact search saves, and that it is exact."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_convert.bench.lock_holder import LockHolder
from edge_convert.bench.measure import Spread
from edge_convert.bench.process import processor_ns
from edge_convert.bench.result import Ratio
from edge_convert.exact_search import build_search
from edge_convert.search_graph import bank_of
from edge_runtime import engine as engines
from edge_runtime.bundles.writer import BundleDraft, MemoryPayloads, manifest_of
from edge_runtime.detectors.search_bundle import load_search
from edge_runtime.detectors.search_distance import brute_force
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    InputSpec,
    Layout,
    Resize,
)
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from edge_convert.bench.search_patches import SearchCase
    from edge_convert.progress import Observer
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.detectors.search_exact import ExactSearch
    from edge_runtime.engine.port import Engine
    from edge_runtime.ops.clock import Clock

    Floats = npt.NDArray[np.float32]

EXACT: Final = "exact search (INT8, bounds)"
_CHUNK_ROWS: Final = 2_048


@dataclass(frozen=True, slots=True)
class WayResult:
    """One way of searching."""

    way: str
    spread: Spread
    cpu_ms: float
    """Processor time of a picture, all threads."""
    ratio: Ratio
    """Its time over the exact search's, round by round."""
    cpu_ratio: float
    beside_ms: float
    """Median beside a Python thread that holds the interpreter's lock half of the time."""
    same_patch: int
    """Pictures on which it names the same patch as the exact search."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One bank."""

    name: str
    engine: str
    pictures: int
    checked: int
    """Pictures compared with float32 brute force…"""
    equal: int
    """…and those with the same bits, patch and row."""
    ways: tuple[WayResult, ...]

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_case(
    case: SearchCase, settings: EngineSettings, rounds: int, checked: int, clock: Clock, observer: Observer
) -> CaseResult:
    """Measure every way, picture by picture in turns, so that a busy machine slows all alike.

    Raises:
        EngineError: the engine failed.
    """
    engine = engines.create(settings)
    search = _load(case, engine)
    ways = _ways(case, search, engine)
    taken: dict[str, list[list[int]]] = {name: [[] for _ in range(rounds)] for name in ways}
    spent = dict.fromkeys(ways, 0)
    patches: dict[str, dict[int, int]] = {name: {} for name in ways}
    for way in ways.values():
        way(case.pictures[0])
    with observer.stage(case.name, rounds) as stage:
        for turn in range(rounds):
            for number, picture in enumerate(case.pictures):
                for name, way in ways.items():
                    began_ns, used_ns = clock.monotonic_ns(), processor_ns()
                    patches[name][number] = way(picture)
                    spent[name] += processor_ns() - used_ns
                    taken[name][turn].append(clock.monotonic_ns() - began_ns)
            stage.advance()
    beside = _beside(case, ways, rounds, clock)
    equal = sum(_is_equal(search, picture) for picture in case.pictures[:checked])
    own = [float(np.median(one)) for one in taken[EXACT]]
    results = tuple(
        WayResult(
            name,
            Spread.of([value for one in taken[name] for value in one]),
            spent[name] / rounds / len(case.pictures) / 1e6,
            Ratio.of([float(np.median(one)) for one in taken[name]], own),
            spent[name] / spent[EXACT],
            beside[name],
            sum(patches[name][number] == patches[EXACT][number] for number in patches[name]),
        )
        for name in ways
    )
    return CaseResult(
        case.name, engine.description, len(case.pictures), min(checked, len(case.pictures)), equal, results
    )


def _ways(case: SearchCase, search: ExactSearch, engine: Engine) -> dict[str, Callable[[Floats], int]]:
    graph = engine.load(bank_of(case.rows).graph(len(case.pictures[0])))
    given, wanted = graph.inputs[0].name, graph.outputs[0].name
    centred = search.rows - search.lattice.origin
    norms = np.einsum("ij,ij->i", centred, centred)

    def by_product(picture: Floats) -> int:
        return int(np.argmax(_nearest_by_product(picture - search.lattice.origin, centred, norms)))

    return {
        EXACT: lambda picture: search.farthest(picture).patch,
        "INT8 brute force, exact": lambda picture: int(np.argmax(search.distances(picture))),
        "float32 graph on the engine": lambda picture: int(np.argmax(graph.run({given: picture}, [wanted])[wanted])),
        "float32 product in NumPy": by_product,
    }


def _beside(
    case: SearchCase, ways: Mapping[str, Callable[[Floats], int]], rounds: int, clock: Clock
) -> dict[str, float]:
    """Median milliseconds of each way while another thread wants the interpreter's lock."""
    taken: dict[str, list[int]] = {name: [] for name in ways}
    with LockHolder():
        for _ in range(rounds):
            for picture in case.pictures:
                for name, way in ways.items():
                    began_ns = clock.monotonic_ns()
                    way(picture)
                    taken[name].append(clock.monotonic_ns() - began_ns)
    return {name: float(np.median(found)) / 1e6 for name, found in taken.items()}


def _nearest_by_product(patches: Floats, rows: Floats, norms: Floats) -> Floats:
    """Squared distance of each patch to the nearest row, in chunks that stay small."""
    best = np.full(len(patches), np.inf, dtype=np.float32)
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = patches @ rows[start : start + _CHUNK_ROWS].T
        part *= -2
        part += norms[start : start + _CHUNK_ROWS]
        np.minimum(best, part.min(axis=1), out=best)
    found: Floats = best + np.einsum("ij,ij->i", patches, patches)
    return found


def _is_equal(search: ExactSearch, picture: Floats) -> bool:
    squared, rows = brute_force(picture, search.rows)
    patch = int(np.argmax(squared))
    found = search.farthest(picture)
    return (found.squared.tobytes(), found.patch, found.row) == (squared[patch].tobytes(), patch, int(rows[patch]))


def _load(case: SearchCase, engine: Engine) -> ExactSearch:
    patches = len(case.pictures[0])
    search = build_search(case.rows, patches)
    spec = InputSpec("image", 1, 1, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8")
    draft = BundleDraft(
        "search", "1", "", DetectorKind.PATCHCORE, spec, search.graphs, search.outputs, search.parameters, _NOTHING
    )
    return load_search(manifest_of(draft, search.payloads), MemoryPayloads(search.payloads), engine, patches)


_NOTHING: Final = Calibration(Limits(0.0, 0.0), (), 0.0, (0.0, 1.0))


def told(results: Sequence[CaseResult]) -> list[tuple[str, ...]]:
    """Lines of a table: case, way, median and 99 % in ms, processor ms, times the exact search, beside Python."""
    return [
        (
            result.name if number == 0 else "",
            way.way,
            f"{way.spread.p50:.2f}",
            f"{way.spread.p99:.2f}",
            f"{way.cpu_ms:.2f}",
            str(way.ratio),
            f"{way.cpu_ratio:.1f}×",
            f"{way.beside_ms:.2f}",
            f"{way.same_patch}/{result.pictures}",
        )
        for result in results
        for number, way in enumerate(result.ways)
    ]
