"""The memory bank: candidate patches of all images, and the coreset that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_convert.bank_search import search_of
from edge_convert.coreset import CandidatePatches, CoresetSize, greedy_coreset
from edge_convert.features import FeatureExtractor
from edge_convert.naming import named

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge_convert.draft import PatchCoreParts
    from edge_convert.exact_search import SearchPayloads
    from edge_convert.progress import Observer
    from edge_convert.teaching.material import Material

_CANDIDATES_LIMIT: Final = 327_680
"""Candidate patches for the bank: those of 320 images of 32×32 patches."""
_CANDIDATES_BYTES: Final = 1 << 29
"""Wide features get fewer candidates, so that teaching stays within 4 GB."""


@dataclass(frozen=True, slots=True)
class Bank:
    """What the bundle will remember."""

    rows: npt.NDArray[np.intp]
    """Which candidates, in order of choice."""
    search: SearchPayloads
    """What a bundle carries to search it."""


def collect(parts: PatchCoreParts, material: Material, observer: Observer) -> CandidatePatches:
    """Run every image through the features graph and keep a seeded draw of its patches."""
    count = len(material.images.files)
    channels = material.graph.channels
    capacity = min(_CANDIDATES_LIMIT, _CANDIDATES_BYTES // (4 * channels))
    views, area = material.views, parts.area
    looks = count * views.count
    candidates = CandidatePatches(
        looks, material.patches * area.count, channels, max(capacity, looks), material.options.seed
    )
    grid = (parts.grid_height, parts.grid_width)
    extractor = FeatureExtractor(material.engine.load(parts.features), area.spec, area.mask, grid)
    with observer.stage("features", looks) as stage:
        for index in range(count):
            for number, view in enumerate(views.taught(index)):
                with named(material.images.files[index]):
                    candidates.add(index, extractor.patches(*view), number)
                stage.advance()
    return candidates


def make_bank(candidates: CandidatePatches, size: CoresetSize, material: Material, observer: Observer) -> Bank:
    """The bank of all images, and its search graph."""
    rows = candidates.rows()
    wanted = min(len(rows), size.of(material.patches_in_all))
    with observer.stage("memory bank of all images", wanted) as stage:
        done = 0

        def follow(chosen: int) -> None:
            nonlocal done
            stage.advance(chosen - done)
            done = chosen

        chosen = greedy_coreset(rows, wanted, material.options.seed, follow)
    options = material.options
    return Bank(chosen, search_of(rows[chosen], material.patches, options.neighbours, options.search))
