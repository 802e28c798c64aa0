"""What was learnt in float32, said again by a graph that rounds: the same patches in the bank and in every fold.

Which patches a bank keeps is a matter of chance as soon as their features are rounded; chosen anew it cost cookies a
point of AUROC. So INT8 has no say in it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.features import FeatureExtractor
from edge_convert.holdout import score_folds

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_convert.coreset import CandidatePatches
    from edge_convert.draft import PatchCoreParts
    from edge_convert.holdout import HeldOut
    from edge_convert.progress import Observer
    from edge_convert.teaching.bank import Bank
    from edge_convert.teaching.material import Material

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]


def say_again(
    parts: PatchCoreParts,
    candidates: CandidatePatches,
    bank: Bank,
    held_out: HeldOut,
    material: Material,
    observer: Observer,
) -> tuple[Bank, HeldOut]:
    """Bank and held-out scores of another features graph, from the same patches.

    Args:
        parts: with that graph.
        candidates: where the patches come from.
        bank: chosen in float32.
        held_out: the same.
        material: the images.
        observer: who watches.

    Raises:
        ConfigError: the graph gives values that are not finite.
        EngineError: the engine failed.
    """
    wanted = np.unique(np.concatenate([bank.rows, *(fold.bank for fold in held_out.folds)]))
    rows = _extract(parts, candidates, wanted, material, observer)

    def rows_at(numbers: Numbers) -> Floats:
        return rows[np.searchsorted(wanted, numbers)]

    again = score_folds(parts, rows_at, held_out.folds, material.views, material.engine, observer)
    return replace(bank, search=parts.search(rows_at(bank.rows))), again


def _extract(
    parts: PatchCoreParts, candidates: CandidatePatches, wanted: Numbers, material: Material, observer: Observer
) -> Floats:
    origins = candidates.origins(wanted)
    grid = (parts.grid_height, parts.grid_width)
    extractor = FeatureExtractor(material.engine.load(parts.features), parts.input_spec, parts.area.mask, grid)
    rows = np.empty((len(wanted), material.graph.channels), dtype=np.float32)
    with observer.stage("the banks' patches in INT8", len(origins)) as stage:
        for (image, number), (positions, places) in origins.items():
            view = next(islice(material.views.taught(image), number, None))
            rows[positions] = extractor.patches(*view)[places]
            stage.advance()
    return rows
