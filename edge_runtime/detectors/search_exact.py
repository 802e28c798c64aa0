"""The patch that lies farthest from the memory bank, exactly, without looking at most pairs.

PatchCore's score is a maximum over patches of a minimum over rows of the bank (arXiv 2106.08265, equation 6). Any row
gives an upper bound of its patch's distance; a patch whose bound is not above the best exact distance cannot be the
farthest and needs no further work. So:

1. The first few hundred rows of the bank, which stand for all, give every patch a row near it (INT8, one product), and
   the exact distance to that row is its bound.
2. The patches with the largest bounds meet the whole bank (INT8), which gives each a nearly nearest row; what may be
   nearer still, by the errors of the lattice, is measured exactly. The largest distance found is the mark to beat.
3. Patches whose bound still beats the mark try the bank's rows around the one they were given, first a few, then more:
   most find a nearer one and drop out. What is left meets the whole bank, until nothing is left. At worst that is every
   patch: brute force in INT8.

Nothing depends on the parts before, and the engine has no say in the result: it only suggests rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.detectors.search_distance import nearest, squared_distances_at
from edge_runtime.detectors.search_lattice import PatchErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edge_runtime.detectors.search_lattice import BankErrors, Lattice
    from edge_runtime.detectors.search_screen import Screen

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]

_AROUND: Final = (16, 64)
"""Rows around the given one: so many first, and for the patches that are still left up to so many."""
_PATCHES_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Farthest:
    """The patch that decides."""

    squared: np.float32
    """Squared distance to the nearest row, as brute force gives it, bit for bit."""
    patch: int
    """The first of those with that distance."""
    row: int
    """Its nearest row, the first of those at that distance."""


@dataclass(frozen=True, slots=True)
class ExactSearch:
    """A bank, and the screens before it."""

    rows: Floats
    """M×C float32: the bank. The first rows stand for all."""
    lattice: Lattice
    errors: BankErrors
    suggest: Callable[[Floats], Numbers]
    """P×C patches → for each the number of a row near it, one of the first rows."""
    around: npt.NDArray[np.int32] | None
    """For each of the first rows the bank's rows nearest to it, nearest first, without itself; None for a small bank,
    which is met as a whole as fast."""
    whole: Screen
    half_norms: Floats
    """M: |row|² / 2."""

    def farthest(self, patches: Floats, counted: Numbers | None = None) -> Farthest:
        """What brute force would say of these patches.

        Args:
            patches: P×C float32, finite.
            counted: numbers of the patches that matter, ascending, at least one; None: all.

        Raises:
            EngineError: the engine failed.
        """
        hunt = _Hunt(self, patches, counted)
        hunt.meet_the_whole(hunt.left())
        if self.around is not None:
            for begin, end in zip((0, *_AROUND), _AROUND, strict=False):
                left = hunt.left()
                if left.size > self.whole.batch // 2:
                    hunt.look_around(left, self.around[:, begin:end])
        while (left := hunt.left()).size:
            hunt.meet_the_whole(left)
        return hunt.mark

    def distances(self, patches: Floats) -> Floats:
        """Distance of each patch (P×C, finite) to its nearest row, exactly; tens of milliseconds for a large bank.

        Raises:
            EngineError: the engine failed.
        """
        squared = np.empty(len(patches), dtype=np.float32)
        for start in range(0, len(patches), self.whole.batch):
            part = patches[start : start + self.whole.batch]
            known = PatchErrors.of(part, self.lattice)
            screened = self.whole.screened(known.codes)
            bounds = squared_distances_at(part, self.rows, np.argmin(screened, axis=1))
            for number, patch in enumerate(part):
                squared[start + number] = self.nearest(patch, number, known, screened[number], bounds[number])[0]
        return np.sqrt(squared)

    def nearest(
        self, patch: Floats, number: int, known: PatchErrors, screened: Floats, bound: np.float32
    ) -> tuple[np.float32, int]:
        """Squared distance and number of the nearest row, given a distance that some row is known to have."""
        return nearest(patch, self.rows, known.candidates(number, screened, bound, self.errors))


@dataclass(slots=True)
class _Hunt:
    """One search: a bound for every patch, and the mark to beat."""

    search: ExactSearch
    patches: Floats
    counted: Numbers | None
    near: Numbers = field(init=False)
    bounds: Floats = field(init=False)
    mark: Farthest = field(default=Farthest(np.float32(-1), -1, -1), init=False)

    def __post_init__(self) -> None:
        self.near = self.search.suggest(self.patches)
        self.bounds = squared_distances_at(self.patches, self.search.rows, self.near)
        if self.counted is not None:
            out = np.ones(len(self.patches), dtype=np.bool_)
            out[self.counted] = False
            self.bounds[out] = -1

    def left(self) -> Numbers:
        """Patches that may still be the farthest, or come before it at the same distance; largest bound first."""
        beats = self.bounds > self.mark.squared
        if self.mark.patch > 0:
            before = self.bounds[: self.mark.patch] == self.mark.squared
            beats[: self.mark.patch] |= before
        numbers = np.flatnonzero(beats)
        return numbers[np.argsort(-self.bounds[numbers], kind="stable")]

    def look_around(self, numbers: Numbers, around: npt.NDArray[np.int32]) -> None:
        """Better bounds for these patches, from rows around those they were given.

        Which of them is nearest is found with products, and need not be right; its distance is measured.
        """
        search = self.search
        for start in range(0, len(numbers), _PATCHES_AT_ONCE):
            part = numbers[start : start + _PATCHES_AT_ONCE]
            patches, rows = self.patches[part], around[self.near[part]]
            with np.errstate(all="ignore"):
                products = np.matmul(search.rows[rows], patches[:, :, None])[:, :, 0]
                best = np.argmin(search.half_norms[rows] - products, axis=1)
            found = squared_distances_at(patches, search.rows, rows[np.arange(len(part)), best])
            self.bounds[part] = np.minimum(self.bounds[part], found)

    def meet_the_whole(self, numbers: Numbers) -> None:
        """The exact distances of the first of these patches, as far as they matter."""
        numbers = numbers[: self.search.whole.batch]
        patches = self.patches[numbers]
        known = PatchErrors.of(patches, self.search.lattice)
        screened = self.search.whole.screened(known.codes)
        found = squared_distances_at(patches, self.search.rows, np.argmin(screened, axis=1))
        self.bounds[numbers] = np.minimum(self.bounds[numbers], found)
        for at in np.argsort(-self.bounds[numbers], kind="stable"):
            patch = int(numbers[at])
            if not self._may_decide(patch):
                continue
            squared, row = self.search.nearest(
                patches[at], int(at), known, screened[at], np.float32(self.bounds[patch])
            )
            self.bounds[patch] = squared
            if self._may_decide(patch):
                self.mark = Farthest(squared, patch, row)

    def _may_decide(self, patch: int) -> bool:
        bound = self.bounds[patch]
        return bool(bound > self.mark.squared or (bound == self.mark.squared and patch < self.mark.patch))
