"""The memory bank: a seeded sample of candidate patches, and the greedy k-centre coreset of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_PROJECTED: Final = 384
"""Dimensions after the Johnson–Lindenstrauss projection, which bounds the work for wide backbones. Narrower features
are left alone: at 128 the bank of ResNet-18's 384 channels lost a point of AUROC on printed circuit boards."""
_BLOCK: Final = 8_192
_WINDOW: Final = 4_096
"""Candidates that are followed exactly between two passes over all."""


@dataclass(frozen=True, slots=True)
class CoresetSize:
    """How many patches the bank keeps."""

    fraction: float = 0.01
    minimum: int = 500
    maximum: int = 3_000

    @classmethod
    def exactly(cls, size: int) -> CoresetSize:
        """So many patches, however many there are to choose from."""
        return cls(1.0, size, size)

    def of(self, patches: int) -> int:
        """Bank size for a training set of so many patches, never more than there are."""
        return min(patches, max(self.minimum, min(self.maximum, round(patches * self.fraction))))


class CandidatePatches:
    """At most `capacity` patches over all images, the same number from each, chosen by a seeded draw per image."""

    def __init__(self, images: int, patches_per_image: int, channels: int, capacity: int, seed: int) -> None:
        self.per_image: Final = max(1, min(patches_per_image, capacity // max(1, images)))
        self._seed = seed
        self._rows: Floats = np.empty((images * self.per_image, channels), dtype=np.float32)
        self._owner: npt.NDArray[np.int32] = np.empty(images * self.per_image, dtype=np.int32)
        self._view: npt.NDArray[np.int32] = np.empty(images * self.per_image, dtype=np.int32)
        self._place: npt.NDArray[np.int32] = np.empty(images * self.per_image, dtype=np.int32)
        self._filled = 0

    def add(self, image: int, patches: Floats, view: int = 0) -> None:
        """Draw from the patches (P×C) of one image; `image` numbers it, and seeds the draw with `view`."""
        places = np.arange(len(patches))
        if self.per_image < len(patches):
            draw = np.random.default_rng((self._seed, image, view) if view else (self._seed, image))
            places = np.sort(draw.choice(len(patches), self.per_image, replace=False))
        end = self._filled + len(places)
        self._rows[self._filled : end] = patches[places]
        self._owner[self._filled : end] = image
        self._view[self._filled : end] = view
        self._place[self._filled : end] = places
        self._filled = end

    def rows(self) -> Floats:
        """N×C, all that was added; a view."""
        return self._rows[: self._filled]

    def rows_at(self, numbers: npt.NDArray[np.intp]) -> Floats:
        """N×C of these rows, in this order; a copy."""
        return self.rows()[numbers]

    def numbers_without(self, images: Collection[int]) -> npt.NDArray[np.intp]:
        """Which rows are of other images than these, ascending."""
        return np.flatnonzero(~np.isin(self._owner[: self._filled], list(images)))

    def rows_of(self, images: Sequence[int]) -> Floats:
        """N×C of these images; a copy."""
        return np.ascontiguousarray(self.rows()[np.isin(self._owner[: self._filled], images)])

    def keep_only(self, images: Sequence[int]) -> None:
        """Forget the other images; those that stay are numbered anew, in this order.

        Args:
            images: numbers of the images that stay, ascending.
        """
        owner = self._owner[: self._filled]
        kept = np.flatnonzero(np.isin(owner, images))
        for column in (self._rows, self._view, self._place):
            column[: len(kept)] = column[kept]
        self._owner[: len(kept)] = np.searchsorted(np.asarray(images), owner[kept])
        self._filled = len(kept)

    def largest_distances(self, distances: Callable[[Floats], Floats]) -> dict[int, float]:
        """Image → largest distance of its candidates, as `distances` (N×C → N) measures it, block by block."""
        found: dict[int, float] = {}
        for start in range(0, self._filled, _BLOCK):
            stop = min(start + _BLOCK, self._filled)
            for image, distance in zip(self._owner[start:stop], distances(self._rows[start:stop]), strict=True):
                found[int(image)] = max(found.get(int(image), 0.0), float(distance))
        return found

    def origins(self, rows: npt.NDArray[np.intp]) -> dict[tuple[int, int], tuple[list[int], list[int]]]:
        """Where rows come from: image and view → positions in `rows`, and places among that view's patches."""
        found: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        for position, row in enumerate(rows):
            positions, places = found.setdefault((int(self._owner[row]), int(self._view[row])), ([], []))
            positions.append(position)
            places.append(int(self._place[row]))
        return dict(sorted(found.items()))


def greedy_coreset(
    rows: Floats, size: int, seed: int, on_progress: Callable[[int], None] | None = None
) -> npt.NDArray[np.intp]:
    """Choose `size` rows so that the farthest row is as near to a chosen one as greedy choice can make it.

    The k-centre greedy algorithm of arXiv 2106.08265, section 3.2, on a random projection. Choice by choice it is the
    plain algorithm; only the work is arranged differently. Distances to the chosen set can only fall, so a stale one is
    an upper bound: the `_WINDOW` rows with the largest ones are followed exactly, and as long as the farthest of them
    is not nearer than the bound of all others, it is the farthest of all. The others catch up with the new centres in
    one matrix product.

    Args:
        rows: N×C float32.
        size: how many; all rows if there are no more.
        seed: of the projection and the first centre.
        on_progress: called with the number of centres chosen so far.

    Returns:
        Row numbers in order of choice.
    """
    count = len(rows)
    if size >= count:
        return np.arange(count)
    draw = np.random.default_rng(seed)
    points = _project(rows, draw)
    norms: Floats = np.einsum("ij,ij->i", points, points)
    chosen = [int(draw.integers(count))]
    distances = _squared(points, norms, points[chosen], norms[chosen])
    distances[chosen] = -np.inf  # equal rows have distance zero: none is chosen twice
    while len(chosen) < size:
        fresh = _follow_window(points, norms, distances, size - len(chosen))
        chosen += fresh
        np.minimum(distances, _squared(points, norms, points[fresh], norms[fresh]), out=distances)
        distances[fresh] = -np.inf
        if on_progress is not None:
            on_progress(len(chosen))
    return np.asarray(chosen)


def _follow_window(points: Floats, norms: Floats, distances: Floats, wanted: int) -> list[int]:
    """Exact greedy choices among the farthest rows, until another row might be farther."""
    bound = -np.inf
    window = np.arange(len(points))
    if len(points) > _WINDOW:
        window = np.argpartition(distances, -_WINDOW - 1)[-_WINDOW - 1 :]
        weakest = int(np.argmin(distances[window]))
        bound = float(distances[window[weakest]])
        window = np.delete(window, weakest)
    window.sort()  # ties go to the lowest row number, whatever the partition did
    near, near_norms, left = points[window], norms[window], distances[window].copy()
    fresh: list[int] = []
    while len(fresh) < wanted:
        best = int(np.argmax(left))
        if fresh and left[best] < bound:
            break
        fresh.append(int(window[best]))
        np.minimum(left, near_norms + near_norms[best] - 2 * (near @ near[best]), out=left)
        left[best] = -np.inf
    return fresh


def _squared(points: Floats, norms: Floats, centres: Floats, centre_norms: Floats) -> Floats:
    """Squared distance of every row to the nearest of the centres, in blocks that stay small."""
    nearest = np.empty(len(points), dtype=np.float32)
    block = max(1, (1 << 24) // max(1, len(centres)))
    for start in range(0, len(points), block):
        part = points[start : start + block]
        products = part @ centres.T
        products *= -2
        products += centre_norms
        nearest[start : start + block] = products.min(axis=1) + norms[start : start + block]
    return nearest


def _project(rows: Floats, draw: np.random.Generator) -> Floats:
    centred: Floats = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    if rows.shape[1] <= _PROJECTED:
        return centred
    matrix = draw.standard_normal((rows.shape[1], _PROJECTED), dtype=np.float32) / np.float32(_PROJECTED**0.5)
    projected: Floats = centred @ matrix
    return projected
