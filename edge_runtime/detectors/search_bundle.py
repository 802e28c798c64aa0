"""The exact search of a bundle: bank, lattice and graphs, checked on this engine before they are believed."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_runtime.detectors.search_exact import ExactSearch
from edge_runtime.detectors.search_lattice import BankErrors, Lattice
from edge_runtime.detectors.search_screen import GraphScreen, PlainScreen, is_exact
from edge_runtime.detectors.wiring import load_graph
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.detectors.search_screen import Screen
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]

_log = logging.getLogger(__name__)
_CONVERT_AGAIN: Final = "convert the bundle again"


def has_exact_search(bundle: ModelBundle) -> bool:
    """Whether the bundle carries its memory bank apart from a graph."""
    return "bank" in bundle.graphs


def load_search(bundle: ModelBundle, payloads: PayloadReader, engine: Engine, patches: int) -> ExactSearch:
    """Read the bank, load the screens, and prove that this engine's INT8 products are whole numbers.

    An engine whose products are not is done without: NumPy then computes them, as exactly and more slowly.

    Args:
        bundle: with the roles `bank`, `origin`, `coarse`, `whole` and perhaps `around`.
        payloads: the bundle's.
        engine: runs the screens.
        patches: P of a part.

    Raises:
        BundleError: a payload is missing, damaged or does not fit the others.
        EngineError: the engine cannot load or run a graph.
    """
    rows = _array(bundle, payloads, "bank", np.float32)
    origin = _array(bundle, payloads, "origin", np.float32)
    if rows.ndim != 2 or not rows.size or origin.shape != rows.shape[1:]:  # noqa: PLR2004  (M×C)
        raise BundleError(f"bundle {bundle.identity.name}: bank {rows.shape}, origin {origin.shape}", _CONVERT_AGAIN)
    if not (np.isfinite(rows).all() and np.isfinite(origin).all()):
        raise BundleError(f"bundle {bundle.identity.name}: its bank is not finite", _CONVERT_AGAIN)
    lattice = Lattice(origin, _step(bundle, "patch_step"), _step(bundle, "bank_step"))
    errors = BankErrors.of(rows, lattice)
    coarse = GraphScreen(load_graph(bundle, "coarse", payloads, engine))
    if coarse.batch != patches or coarse.rows > len(rows):
        raise BundleError(
            f"bundle {bundle.identity.name}: the coarse graph takes {coarse.batch} patches of {patches}", _CONVERT_AGAIN
        )

    def suggest(given: Floats) -> Numbers:
        near: Numbers = np.argmin(coarse.screened(given), axis=1)
        return near

    around = _numbers(bundle, payloads, "around", coarse.rows, len(rows))
    whole: Screen = GraphScreen(load_graph(bundle, "whole", payloads, engine))
    plain = PlainScreen(rows, lattice, errors, whole.batch)
    if not is_exact(whole, plain, errors, lattice):
        _log.warning("%s does not compute INT8 products exactly: the search goes without it, slowly", engine.name)
        whole = plain
    with np.errstate(over="ignore"):
        half_norms = np.einsum("ij,ij->i", rows, rows) / np.float32(2)
    return ExactSearch(rows, lattice, errors, suggest, around, whole, half_norms)


def load_neighbours(bundle: ModelBundle, payloads: PayloadReader, rows: int) -> npt.NDArray[np.int32] | None:
    """M×N: each row's nearest rows, itself first, for the reweighting; None where the bundle does not ask for it.

    Raises:
        BundleError: they are not rows of this bank.
    """
    return _numbers(bundle, payloads, "neighbours", rows, rows)


def _numbers(
    bundle: ModelBundle, payloads: PayloadReader, role: str, count: int, rows: int
) -> npt.NDArray[np.int32] | None:
    """`count` lists of row numbers; None where the bundle has none."""
    if role not in bundle.graphs:
        return None
    found = _array(bundle, payloads, role, np.int32)
    if found.ndim != 2 or len(found) != count or not found.size or found.min() < 0 or found.max() >= rows:  # noqa: PLR2004
        raise BundleError(f"bundle {bundle.identity.name}: {role} {found.shape} of {rows} rows", _CONVERT_AGAIN)
    return found


def _array(bundle: ModelBundle, payloads: PayloadReader, role: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """A `.npy` payload, in place: the bank is the largest thing in memory, and is there once."""
    name = bundle.graphs.get(role, "")
    content = payloads.read(name)
    stream = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise _damaged(bundle, name)
        shape, fortran, stated = np.lib.format.read_array_header_1_0(stream)
        if fortran or stated != np.dtype(dtype).newbyteorder("<"):
            raise _damaged(bundle, name)
        return np.frombuffer(content, dtype=dtype, offset=stream.tell()).reshape(shape)
    except ValueError as error:
        raise _damaged(bundle, name) from error


def _damaged(bundle: ModelBundle, name: str) -> BundleError:
    return BundleError(f"bundle {bundle.identity.name}: {name} is no array as it should be", _CONVERT_AGAIN)


def _step(bundle: ModelBundle, name: str) -> float:
    value = float(bundle.parameters.get(name, 0.0))
    if not value > 0:
        raise BundleError(f"bundle {bundle.identity.name} lacks the parameter {name!r}", _CONVERT_AGAIN)
    return value
