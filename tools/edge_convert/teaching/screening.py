"""Scoring the good parts that a bank had not seen, and leaving out those that are none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.coreset import greedy_coreset
from edge_convert.holdout import make_folds, plan_folds, score_folds
from edge_convert.limits import usual_rate
from edge_convert.search_graph import bank_of
from edge_convert.teaching.contamination import FAMILY_ERROR, LARGEST_SHARE, Suspect, fit_ruler, outliers

if TYPE_CHECKING:
    from edge_convert.coreset import CandidatePatches
    from edge_convert.draft import PatchCoreParts
    from edge_convert.holdout import HeldOut
    from edge_convert.progress import Observer
    from edge_convert.teaching.material import Material

_ROUNDS: Final = 2
_REST_BANK: Final = 1_000
_RULER_IMAGES: Final = 100
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Screening:
    """What is left to teach from, and the held-out scores of it."""

    material: Material
    held_out: HeldOut
    rate: float
    """The false-reject rate to draw limits for."""
    suspects: tuple[Suspect, ...]
    """Left out, the most suspicious first."""
    warnings: tuple[str, ...]

    @property
    def note(self) -> str:
        """For the bundle: how it was judged, and which files are not in it."""
        wanted = self.material.options.contamination.share
        if wanted == 0:
            return "not looked for"
        rule = (
            f"scores beyond the Gumbel limit of a family-wise error of {FAMILY_ERROR:.0%}, at most {LARGEST_SHARE:.0%}"
            if wanted is None
            else f"the most suspicious {wanted:.1%}, as asked"
        )
        return f"{rule}; left out: {_named(self.suspects) or 'none'}"


@dataclass(slots=True)
class _State:
    """What changes from round to round."""

    material: Material
    held_out: HeldOut
    rate: float
    suspects: list[Suspect]


def screen(parts: PatchCoreParts, candidates: CandidatePatches, material: Material, observer: Observer) -> Screening:
    """Score every image against patches of others, leave out the outliers, and repeat that once.

    `candidates` is narrowed with the images. The held-out scores in the result were made without any trace of what was
    left out.

    Raises:
        EngineError: the engine failed.
    """
    share = material.options.contamination.share
    total = len(material.images.files)
    state = _State(material, *hold_out(parts, candidates, material, observer), [])
    allowed = math.floor(total * LARGEST_SHARE + 1e-9) if share is None else round(total * share)
    warnings: list[str] = []
    for _ in range(_ROUNDS if share is None else 1):
        if share == 0:
            break
        found = _suspicious(parts, candidates, state, observer, everyone=share is not None)
        left = allowed - len(state.suspects)
        if share is None and len(found) > left:
            warnings.append(
                f"more than {LARGEST_SHARE:.0%} of the images look suspicious: only the worst {allowed} are left out. "
                "Look through the folder, or state the share with --contamination"
            )
        if not found[:left]:
            break
        _leave_out(parts, candidates, state, found[:left], observer)
    if state.suspects:
        text = f"{len(state.suspects)} of {total} images do not look like the others and are left out: "
        warnings.append(
            text + f"{_named(state.suspects)}. Look at them; --contamination keep teaches them all the same"
        )
    return Screening(state.material, state.held_out, state.rate, tuple(state.suspects), tuple(warnings))


def _named(suspects: list[Suspect] | tuple[Suspect, ...]) -> str:
    more = f" and {len(suspects) - _NAMED} more" if len(suspects) > _NAMED else ""
    return ", ".join(f"{suspect.file} ({suspect.excess:.2f}×)" for suspect in suspects[:_NAMED]) + more


def hold_out(
    parts: PatchCoreParts, candidates: CandidatePatches, material: Material, observer: Observer
) -> tuple[HeldOut, float]:
    """Held-out scores of the material's good parts, and the false-reject rate that they are to support."""
    options, count = material.options, len(material.images.files)
    rate = options.false_reject_rate or usual_rate(count)
    views = material.views
    folds = make_folds(
        candidates,
        options.coreset,
        plan_folds(count, rate, options.holdout, options.seed),
        count,
        material.patches * parts.area.count * views.count,
        options.seed,
    )
    return score_folds(parts, candidates.rows_at, folds, views, material.engine, observer), rate


def _leave_out(
    parts: PatchCoreParts,
    candidates: CandidatePatches,
    state: _State,
    found: list[tuple[int, float]],
    observer: Observer,
) -> None:
    files = state.material.images.files
    state.suspects += [Suspect(files[image].name, excess) for image, excess in found]
    gone = {image for image, _ in found}
    kept = [image for image in range(len(files)) if image not in gone]
    candidates.keep_only(kept)
    state.material = replace(state.material, images=state.material.images.only(kept))
    state.held_out, state.rate = hold_out(parts, candidates, state.material, observer)


def _suspicious(
    parts: PatchCoreParts, candidates: CandidatePatches, state: _State, observer: Observer, *, everyone: bool
) -> list[tuple[int, float]]:
    """Images with their scores as multiples of the median, the most suspicious first."""
    count = len(state.material.images.files)
    groups = [(state.held_out.by_image, list(state.held_out.by_image))]
    if len(state.held_out.by_image) < count:
        groups.append(_score_rest(parts, candidates, state, observer))
    found: list[tuple[float, int, float]] = []
    for scores, typical in groups:
        ruler = fit_ruler(np.array([scores[image] for image in typical]))
        chosen = list(scores) if everyone else outliers(scores, ruler, count)
        found += [(-ruler.excess(scores[image]), image, scores[image] / np.exp(ruler.median)) for image in chosen]
    return [(image, float(ratio)) for _, image, ratio in sorted(found)]


def _score_rest(
    parts: PatchCoreParts, candidates: CandidatePatches, state: _State, observer: Observer
) -> tuple[dict[int, float], list[int]]:
    """Scores of the images that were not held out, against a bank of those that were.

    Many images, so in two steps: the candidate patches, which are at hand, show which images might stand out; these,
    and a draw of the others as a ruler, are scored in full.

    Returns:
        Image → score, and the images of the draw.
    """
    material = state.material
    known = sorted(state.held_out.by_image)
    rest = [image for image in range(len(material.images.files)) if image not in state.held_out.by_image]
    rows = candidates.rows_of(known)
    bank = rows[greedy_coreset(rows, _REST_BANK, material.options.seed)]
    rough = candidates.largest_distances(bank_of(bank).distances)
    share = max(LARGEST_SHARE, material.options.contamination.share or 0.0)
    most = max(_RULER_IMAGES, round(share * len(material.images.files)))
    worst = sorted(rest, key=lambda image: -rough[image])[:most]
    draw = np.random.default_rng((material.options.seed, 3))
    typical = sorted(int(image) for image in draw.choice(rest, min(_RULER_IMAGES, len(rest)), replace=False))
    detector = parts.viewer(parts.search(bank), material.engine)
    scores: dict[int, float] = {}
    chosen = sorted({*worst, *typical})
    with observer.stage("looking for what is not good", len(chosen)) as stage:
        for image in chosen:
            scores[image] = detector.look(*material.views.held_out(image)).score
            stage.advance()
    return scores, typical
