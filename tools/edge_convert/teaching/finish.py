"""The last steps: what the bundle and the report say about how it was made."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_convert.bank_search import form_of, note_of
from edge_convert.golden import TOLERANCE_NOTE
from edge_convert.report import TeachReport
from edge_convert.seal import seal
from edge_convert.search_form import multiplications
from edge_runtime import __version__
from edge_runtime.detectors.proportions import aspects_to_note
from edge_runtime.domain.model_bundle import Calibration

if TYPE_CHECKING:
    from edge_convert.golden import GoldenSet
    from edge_convert.limits import ScoreLimits
    from edge_convert.precision.features import FeaturesChoice
    from edge_convert.teaching.learnt import Learnt
    from edge_convert.teaching.proof import Proof


@dataclass(frozen=True, slots=True)
class Taught:
    """All that was learnt, and proved."""

    learnt: Learnt
    found: ScoreLimits
    proof: Proof
    golden: GoldenSet

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, in the order in which it was found."""
        learnt, material = self.learnt, self.learnt.material
        return (
            *material.backbone.notices,
            *material.images.warnings,
            *learnt.choice.warnings,
            *learnt.screening.warnings,
            *(learnt.sizing.warnings if learnt.sizing is not None else ()),
            *self.found.warnings,
            *self.proof.agreement.warnings,
            *self.golden.warnings,
        )


def write(taught: Taught) -> str:
    """Seal the bundle; returns its digest.

    Raises:
        BundleError: it cannot be written, or does not reproduce itself.
    """
    learnt, found, held_out = taught.learnt, taught.found, taught.learnt.screening.held_out
    draft = learnt.parts.draft(
        learnt.bank.search,
        Calibration(found.limits, held_out.scores, found.rate, held_out.map_range, taught.warnings),
        taught.golden.images,
        _notes(taught),
        taught.proof.agreement.engines,
        taught.proof.reference(taught.golden.references),
    )
    draft = replace(draft, parameters={**draft.parameters, **aspects_to_note(learnt.material.images.aspects)})
    options = learnt.material.options
    return seal(options.out, draft, learnt.parts.payloads(learnt.bank.search) | taught.golden.payloads, options.engine)


def _notes(taught: Taught) -> dict[str, str]:
    learnt, material, choice = taught.learnt, taught.learnt.material, taught.learnt.choice
    backbone = material.backbone
    return {
        "converter": f"edge-convert {__version__}",
        "backbone": f"{backbone.file_name} sha256 {backbone.digest}",
        "layers": ", ".join(layer.name for layer in material.layers),
        "normalisation": f"mean {backbone.mean}, std {backbone.std} of pixels in 0…1, RGB, inside the graph",
        "images": f"{len(material.images.files)} good; folder's sha256 of names and contents {material.images.digest}",
        "precision": choice.precision if choice.parity is None else f"{choice.precision}; {choice.parity}",
        "memory_bank": f"{len(learnt.bank.rows)} patches, greedy k-centre coreset, seed {material.options.seed}",
        "search": _search_note(learnt),
        "limits": f"{taught.found.method}; {learnt.screening.held_out.method}; the bank was then made of all images",
        "contamination": learnt.screening.note,
        "golden_tolerance": TOLERANCE_NOTE,
        "reference": taught.proof.source.description,
        "taught_on": material.engine.description,
        **({"kept_in_float": _kept(choice)} if choice.kept else {}),
        **({"bank_size": learnt.sizing.note} if learnt.sizing is not None else {}),
        **material.area_notes,
    }


def _search_note(learnt: Learnt) -> str:
    material = learnt.material
    products = multiplications(len(learnt.bank.rows), material.patches, material.graph.channels)
    return note_of(learnt.bank.search, products, material.options.search)


def _kept(choice: FeaturesChoice) -> str:
    return "; ".join(f"{kept.node} ({kept.op_type}): {kept.why}" for kept in choice.kept)


def summarise(taught: Taught, digest: str, seconds: float) -> TeachReport:
    """The closing summary of a bundle that was written."""
    learnt, found = taught.learnt, taught.found
    material, choice = learnt.material, learnt.choice
    options = material.options
    return TeachReport(
        bundle=str(options.out),
        digest=digest,
        size_bytes=options.out.stat().st_size,
        images=len(material.images.files),
        input_px=(options.height_px, options.width_px),
        layers=tuple(layer.name for layer in material.layers),
        bank=len(learnt.bank.rows),
        channels=material.graph.channels,
        search=form_of(learnt.bank.search),
        precision=choice.precision,
        parity=choice.parity,
        fp32_ms=choice.fp32_ms,
        int8_ms=choice.int8_ms,
        engine=material.engine.description,
        review_limit=found.limits.review,
        reject_limit=found.limits.reject,
        limits_method=found.method,
        false_reject_rate=found.rate,
        held_out=len(learnt.screening.held_out.scores),
        golden=len(taught.golden.images),
        engine_drift=taught.golden.largest_engine_drift,
        figures=taught.proof.figures,
        allowed=taught.proof.beyond,
        bank_sizes=learnt.sizing.trials if learnt.sizing is not None else (),
        left_out=learnt.screening.suspects,
        warnings=taught.warnings,
        seconds=seconds,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )
