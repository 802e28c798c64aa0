"""Vectors on a lattice of whole numbers, and how far that is from the truth: what lets INT8 prove anything.

A patch x and a row b of the bank are replaced by points x̂ and b̂ of a lattice about a common origin. However coarse it
is,

    |x − b|  ≥  |x̂ − b̂| − |x − x̂| − |b − b̂|                                     (triangle inequality)

and all three terms on the right are known: the two errors are measured, and |x̂ − b̂|² = |x̂|² + |b̂|² − 2 x̂·b̂, where x̂·b̂
is a sum of products of whole numbers, which INT8 hardware computes without any rounding. So a row whose right side is
larger than a distance that was already found cannot be the nearest one. Nothing is assumed about the features.

Codes of patches have 7 bits and those of the bank 8: two products of 127 · 127 fit into the 16 bits in which processors
without VNNI add pairs, and which would saturate silently with 8 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.detectors.search_distance import farthest_below, lengths

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

PATCH_CODES: Final = (-64, 63)
BANK_CODES: Final = (-127, 127)
_CHUNK_ROWS: Final = 1_024
_ARITHMETIC: Final = 1e-5
"""Relative to the largest term: what float32 may lose in |b̂|² − 2 x̂·b̂ and in the comparison. Four roundings by 2⁻²⁴ and
a step stated in float32 are 4e-7; an origin close to the data keeps the terms of the size of the distances."""
_UPWARDS: Final = 1.0 + 2.0**-20
"""More than the float32 operations behind it can round away."""
_BEYOND: Final = 1e18
"""Squares of longer distances leave float32: there every row is a candidate."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Origin and steps: code = round((value − origin) / step), within `PATCH_CODES` or `BANK_CODES`."""

    origin: Floats
    """C."""
    patch_step: float
    bank_step: float

    def patch_codes(self, patches: Floats) -> Floats:
        """N×C → whole numbers as float32."""
        return _codes(patches, self.origin, self.patch_step, PATCH_CODES)

    def bank_codes(self, rows: Floats) -> Floats:
        """The same of the bank's rows."""
        return _codes(rows, self.origin, self.bank_step, BANK_CODES)

    @property
    def product_scale(self) -> np.float32:
        """2 x̂·b̂ of a product of codes."""
        return np.float32(2.0 * self.patch_step * self.bank_step)


@dataclass(frozen=True, slots=True)
class BankErrors:
    """What is known of the bank's rows on the lattice."""

    norms: Floats
    """M: |b̂ − origin|², as the graph has it."""
    errors: Floats
    """M: |b − b̂|, never too small."""
    squared_errors: Floats
    largest_norm: float

    @classmethod
    def of(cls, rows: Floats, lattice: Lattice) -> BankErrors:
        """Measure them, in pieces that stay small."""
        norms = np.empty(len(rows), dtype=np.float32)
        errors = np.empty(len(rows), dtype=np.float32)
        with np.errstate(over="ignore"):  # an infinite error makes a row a candidate whatever is asked
            for start in range(0, len(rows), _CHUNK_ROWS):
                part = rows[start : start + _CHUNK_ROWS]
                codes = lattice.bank_codes(part)
                norms[start : start + len(part)] = _norms(codes, lattice.bank_step)
                errors[start : start + len(part)] = _errors(part, codes, lattice.origin, lattice.bank_step) * _UPWARDS
            return cls(norms, errors, np.square(errors) * np.float32(_UPWARDS), float(norms.max()))


@dataclass(frozen=True, slots=True)
class PatchErrors:
    """What is known of some patches on the lattice."""

    codes: Floats
    """N×C."""
    norms: Doubles
    """N: |x̂ − origin|²."""
    errors: Doubles
    """N: |x − x̂|."""

    @classmethod
    def of(cls, patches: Floats, lattice: Lattice) -> PatchErrors:
        """Measure them."""
        codes = lattice.patch_codes(patches)
        return cls(
            codes, _norms(codes, lattice.patch_step), _errors(patches, codes, lattice.origin, lattice.patch_step)
        )

    def candidates(self, number: int, screened: Floats, squared: np.float32, bank: BankErrors) -> npt.NDArray[np.intp]:
        """Every row that may be as near to a patch as `squared`, ascending; the others certainly are not.

        Args:
            number: of the patch.
            screened: M: |b̂|² − 2 x̂·b̂ of that patch.
            squared: a float32 squared distance (`search_distance.squared_distances`).
            bank: its rows.
        """
        reach = farthest_below(squared) + float(self.errors[number])
        if not reach < _BEYOND:
            return np.arange(len(screened))
        # A row is out where |x̂ − b̂| > reach + |b − b̂|; squared, and with everything that rounds on the safe side:
        norm = float(self.norms[number])
        cross = 2.0 * float(np.sqrt(norm * bank.largest_norm))
        slack = _ARITHMETIC * (reach * reach + norm + bank.largest_norm + cross)
        limits = bank.errors * np.float32(2.0 * reach)
        limits += bank.squared_errors
        limits += np.float32(reach * reach - norm + slack)
        return np.flatnonzero(screened <= limits)


def _codes(rows: Floats, origin: Floats, step: float, limits: tuple[int, int]) -> Floats:
    with np.errstate(over="ignore", under="ignore"):
        codes = np.subtract(rows, origin)
        codes *= np.float32(1.0 / step)
        np.rint(codes, out=codes)
    np.clip(codes, *limits, out=codes)
    return codes


def _norms(codes: Floats, step: float) -> Doubles:
    wide = codes.astype(np.float64)
    total: Doubles = np.einsum("ij,ij->i", wide, wide)
    return total * step**2


def _errors(rows: Floats, codes: Floats, origin: Floats, step: float) -> Doubles:
    return lengths(rows.astype(np.float64) - (origin.astype(np.float64) + codes.astype(np.float64) * step))
