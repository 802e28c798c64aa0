"""The last steps of a conversion: other engines, golden images, the reference, the seal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_convert.convert.candidates import detector_of, draft_of
from edge_convert.convert.golden_set import TOLERANCE_NOTE, choose_golden
from edge_convert.convert.report import ConvertReport
from edge_convert.parity.allowance import widened
from edge_convert.seal import other_engines, seal
from edge_runtime import __version__, engine
from edge_runtime.app.inspection import BF16_WHERE_IT_IS
from edge_runtime.decision.parity import departures, measure
from edge_runtime.detectors.proportions import aspects_to_note
from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.model_bundle import Reference, ReferenceImage, Requires

if TYPE_CHECKING:
    from edge_convert.convert.golden_set import GoldenSet
    from edge_convert.convert.probes import Probes
    from edge_convert.convert.proof import Proof, Work
    from edge_convert.precision.choice import Candidate, PrecisionChoice
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import ParityFigures
    from edge_runtime.ops.clock import Clock

RUNTIME: Final = "0.2.0"
"""The first version that reads references."""
ANY_ENGINE: Final = Requires(runtime=RUNTIME)


def finish(
    work: Work,
    probes: Probes,
    choice: PrecisionChoice,
    candidate: Candidate,
    before: Proof,
    after: Proof,
    refused: tuple[str, ...],
    timing: tuple[Clock, int],
) -> ConvertReport:
    """Write the bundle.

    Raises:
        ConfigError: a golden image flips, or none is clear of the limits.
        BundleError: it cannot be written, or does not reproduce itself.
    """
    source, options = work.source, work.options
    detectors, requires, engine_warnings, measured = prove_elsewhere(work, probes, candidate, after)
    golden = choose_golden(probes, after.good.limits, after.detector, detectors, options.golden)
    warnings = (*source.notices, *refused, *after.good.warnings, *engine_warnings, *golden.warnings)
    for text in warnings[len(source.notices) :]:
        work.observer.notice(text)
    draft = draft_of(
        source,
        options,
        requires,
        after.good.calibration(warnings),
        golden.images,
        _reference(work, probes, golden, after, measured),
        _notes(work, probes, choice, candidate, after),
        _engine_precision(candidate, measured, work.engine_description),
    )
    draft = replace(draft, parameters={**draft.parameters, **aspects_to_note(work.images.aspects)})
    payloads = {source.payload: candidate.model, **source.payloads, **golden.payloads}
    digest = seal(options.out, draft, payloads, options.engine)
    clock, started_ns = timing
    report = _report(work, choice, candidate, before, after, digest)
    return replace(
        report,
        figures=(after.figures, *measured),
        golden=len(golden.images),
        warnings=warnings,
        seconds=(clock.monotonic_ns() - started_ns) / 1e9,
    )


def _report(
    work: Work, choice: PrecisionChoice, candidate: Candidate, before: Proof, after: Proof, digest: str
) -> ConvertReport:
    """The report as far as it follows from the proofs."""
    out = work.options.out
    return ConvertReport(
        bundle=str(out),
        digest=digest,
        size_bytes=out.stat().st_size,
        precision=candidate.name,
        route=candidate.route,
        kept=tuple(f"{kept.node} ({kept.op_type}): {kept.why}" for kept in candidate.kept),
        timings_ms=dict(choice.timings_ms),
        engine=work.engine_description,
        reference=work.reference.description,
        plain_figures=before.figures,
        figures=(after.figures,),
        labelled=after.labelled,
        plain_labelled=before.labelled,
        review_limit=after.good.limits.review,
        reject_limit=after.good.limits.reject,
        limits_method=after.good.method,
        golden=0,
        allowed=after.beyond,
        warnings=(),
        seconds=0.0,
    )


def _engine_precision(candidate: Candidate, others: tuple[ParityFigures, ...], exact: str) -> dict[str, str]:
    """For the manifest's `options`: what the daemon tells its engine.

    Args:
        candidate: what goes into the bundle.
        others: where else parity holds.
        exact: description of the engine in float32: if parity holds there too, a device without bf16 may have it.
    """
    if candidate.floats == "f32":
        return {}
    return {"precision": BF16_WHERE_IT_IS if any(figures.engine == exact for figures in others) else "bf16"}


def prove_elsewhere(
    work: Work, probes: Probes, candidate: Candidate, after: Proof
) -> tuple[tuple[Detector, ...], Requires, tuple[str, ...], tuple[ParityFigures, ...]]:
    """Prove the bundle on this machine's other engines; it is bound to those on which parity holds."""
    used = engine.create(work.options.engine)
    names, warnings = [used.name], []
    agreeing: list[Detector] = []
    measured: list[ParityFigures] = []
    only = work.source.engines
    others = [] if candidate.precision == "bf16" else other_engines(work.options.engine, used.name)
    others = [other for other in others if not only or other.name in only]
    if candidate.name == "int8+bf16":
        others.append(used)
    for other in others:
        settings = work.options.engine.model_copy(
            update={} if other is used else {"name": other.name, "provider": "cpu", "device": "CPU", "precision": "f32"}
        )
        try:
            detector = detector_of(work.source, candidate.model, work.options, ANY_ENGINE, settings)
            figures = measure(probes.compare(detector), after.good.limits, probes.ruler, other.description)
        except EngineError as error:
            warnings.append(f"{other.name} cannot run this bundle, which is bound to {used.name}: {error.what}")
            continue
        beyond = departures(figures, work.limits)
        if beyond:
            where, bound_to = other.name, used.name
            if other is used:  # the last one: the bundle asks every engine for bf16, and no other has it
                where, bound_to = f"{used.name} in float32", f"{used.name} with bf16"
                names, agreeing, measured = [used.name], [], []
            warnings.append(f"on {where} it departs ({'; '.join(beyond)}): the bundle is bound to {bound_to}")
            continue
        names += [other.name] * (other.name not in names)
        agreeing.append(detector)
        measured.append(figures)
    bound = bool(warnings or only) or candidate.precision == "bf16"
    requires = Requires(runtime=RUNTIME, engines=tuple(names) if bound else ())
    return tuple(agreeing), requires, tuple(warnings), tuple(measured)


def _reference(
    work: Work, probes: Probes, golden: GoldenSet, after: Proof, measured: tuple[ParityFigures, ...]
) -> Reference:
    files = tuple(
        ReferenceImage(probe.sha256, probe.reference.score, probe.defective)
        for probe in probes.items
        if probe.sha256 is not None
    )
    return Reference(
        source=work.reference.description,
        good_median=probes.ruler.median,
        good_spread=probes.ruler.spread,
        limits=widened(work.limits, after.figures) if after.beyond else work.limits,
        allowed=after.beyond,
        images=golden.references + files,
        measured=(after.figures, *measured),
    )


def _notes(work: Work, probes: Probes, choice: PrecisionChoice, candidate: Candidate, after: Proof) -> dict[str, str]:
    kept = "; ".join(f"{item.node} ({item.op_type}): {item.why}" for item in candidate.kept)
    notes = {
        **work.source.notes,
        "converter": f"edge-convert {__version__}",
        "images": f"{len(work.images.files)} good, sha256 of names and contents {work.images.digest}",
        "precision": f"{candidate.name}, {candidate.route}; {choice.judgement.text}",
        "limits": after.good.method,
        "golden_tolerance": TOLERANCE_NOTE,
        "converted_on": work.engine_description,
        "reference": work.reference.description,
    }
    if kept:
        notes["kept_in_float"] = kept
    if not probes.planted_by_source:
        notes["planted_defects"] = "answered by the float32 graph, the source model being there only as a recording"
    return notes
