"""INT8 products with the bank through the engine, and the same by NumPy where its INT8 cannot be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from edge_runtime.detectors.search_lattice import BANK_CODES, PATCH_CODES
from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.detectors.search_lattice import BankErrors, Lattice
    from edge_runtime.engine.port import Graph

    Floats = npt.NDArray[np.float32]

_CHUNK_ROWS: Final = 1_024
_FLOAT32_WHOLE: Final = 2**24
"""Up to here float32 holds every whole number, so sums of them are exact in any order."""
_SEED: Final = 6_265
_TOLERANCE: Final = 2.0**-21
"""Of the largest term: the float32 roundings of a scale and a difference. One unit of a product is far above it."""


class Screen(Protocol):
    """Products of patches with the first rows of the bank."""

    @property
    def batch(self) -> int:
        """Patches per call; fewer cost as much."""

    def screened(self, codes: Floats) -> Floats:
        """|b̂|² − 2 x̂·b̂ for up to `batch` patches.

        Args:
            codes: N×C, whole numbers (`Lattice.patch_codes`).

        Returns:
            N×M float32.

        Raises:
            EngineError: the engine failed.
        """


class GraphScreen:
    """A graph whose one input takes `batch`×C codes and whose one output is `batch`×M."""

    def __init__(self, graph: Graph) -> None:
        """Take a graph with a fixed number of patches.

        Raises:
            EngineError: it has other inputs or outputs.
        """
        shapes = [info.shape for info in (*graph.inputs, *graph.outputs)]
        plane = all(None not in shape and len(shape) == 2 for shape in shapes)  # noqa: PLR2004
        if len(graph.inputs) != 1 or len(graph.outputs) != 1 or not plane:
            raise EngineError(f"a search graph has the inputs and outputs {shapes}", "convert the bundle again")
        self._graph = graph
        self._input, self._output = graph.inputs[0].name, graph.outputs[0].name
        self._shape = (int(shapes[0][0] or 0), int(shapes[0][1] or 0))
        self.rows: Final = int(shapes[1][1] or 0)

    @property
    def batch(self) -> int:
        """See `Screen`."""
        return self._shape[0]

    def screened(self, codes: Floats) -> Floats:
        """See `Screen`."""
        count = len(codes)
        if count < self.batch:
            padded = np.zeros(self._shape, dtype=np.float32)
            padded[:count] = codes
            codes = padded
        found: Floats = self._graph.run({self._input: codes}, [self._output])[self._output]
        return found[:count]


class PlainScreen:
    """The same numbers without an engine: codes are whole numbers, which floats wide enough add without rounding."""

    def __init__(self, rows: Floats, lattice: Lattice, bank: BankErrors, batch: int) -> None:
        self._rows = rows
        self._lattice = lattice
        self._bank = bank
        self._batch = batch
        largest = len(lattice.origin) * max(map(abs, PATCH_CODES)) * max(map(abs, BANK_CODES))
        self._wide = np.float32 if largest <= _FLOAT32_WHOLE else np.float64  # half the time

    @property
    def batch(self) -> int:
        """See `Screen`."""
        return self._batch

    def screened(self, codes: Floats) -> Floats:
        """See `Screen`."""
        wide: npt.NDArray[Any] = codes.astype(self._wide, copy=False)
        found = np.empty((len(codes), len(self._rows)), dtype=np.float32)
        for start in range(0, len(self._rows), _CHUNK_ROWS):
            part = self._lattice.bank_codes(self._rows[start : start + _CHUNK_ROWS]).astype(self._wide, copy=False)
            end = start + len(part)
            products = (wide @ part.T).astype(np.float64)
            found[:, start:end] = self._bank.norms[start:end] - float(self._lattice.product_scale) * products
        return found


def is_exact(screen: Screen, plain: Screen, bank: BankErrors, lattice: Lattice) -> bool:
    """Whether the engine computes exactly the products that the proof assumes, on the codes that make it hardest.

    Extremes of one sign saturate where sums of pairs are kept in 16 bits; random codes differ in some row from a graph
    that holds any other bank.

    Raises:
        EngineError: the engine failed.
    """
    draw = np.random.default_rng(_SEED)
    codes = draw.integers(-64, 64, (screen.batch, len(lattice.origin))).astype(np.float32)
    codes[::4] = 63
    codes[1::4] = -64
    codes[2::4] = np.where(draw.random(len(lattice.origin)) < 0.5, 63, -64)  # noqa: PLR2004  (a coin)
    found, expected = screen.screened(codes), plain.screened(codes)
    longest = float(np.sqrt(np.square(codes).sum(axis=1).max())) * lattice.patch_step
    largest = bank.largest_norm + 2.0 * longest * float(np.sqrt(bank.largest_norm))
    return found.shape == expected.shape and bool(np.abs(found - expected).max() <= _TOLERANCE * largest)
