"""The way of every converted model: parity in float32, precision, limits, parity again, golden images, seal."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_convert.convert.calibration import calibration_tensors
from edge_convert.convert.candidates import detector_of
from edge_convert.convert.finish import ANY_ENGINE, finish
from edge_convert.convert.judging import CandidateJudge
from edge_convert.convert.probes import gather
from edge_convert.convert.proof import Work, brief, prove
from edge_convert.precision.choice import Judgement, choose_precision, engine_settings_for
from edge_runtime import engine
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ParityLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_convert.convert.probes import Probes
    from edge_convert.convert.proof import Proof
    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import ConvertOptions, ReferenceModel, SourceModel
    from edge_convert.images import ImageSet
    from edge_convert.precision.choice import Candidate, PrecisionChoice
    from edge_convert.progress import Observer
    from edge_runtime.detectors.port import Detector
    from edge_runtime.engine.port import Tensor
    from edge_runtime.ops.clock import Clock


def convert(
    source: SourceModel,
    reference: ReferenceModel,
    images: ImageSet,
    options: ConvertOptions,
    observer: Observer,
    clock: Clock,
    diagnose: Callable[[], str] | None = None,
) -> ConvertReport:
    """Make a bundle whose device-side verdicts are the source model's, or refuse.

    Args:
        source: the float32 graph and its preprocessing.
        reference: the source model itself.
        images: good parts, if possible not those that the model was trained on.
        options: a person's choices.
        observer: who watches.
        clock: for timing the precisions.
        diagnose: asked for the likely cause where the float32 graph itself departs from the reference.

    Raises:
        ConfigError: parity does not hold (says by how much, and why if that is known), a golden image flips, or the
            images do not suffice.
        EngineError: the engine cannot run the graph.
        BundleError: the bundle cannot be written.
    """
    started_ns = clock.monotonic_ns()
    for notice in source.notices:
        observer.notice(notice)
    limits = options.limits or ParityLimits()
    work = Work(source, reference, images, options, limits, observer, engine.create(options.engine).description)
    model = bytes(source.model.SerializeToString())
    plain = detector_of(source, model, options, ANY_ENGINE, options.engine)
    speaker = _speaker(source, reference, options) or plain
    probes = gather(source, reference, images, options.dataset, speaker, observer, options.seed)
    del speaker  # a copy of a large model takes gigabytes
    before = prove(work, probes, plain)
    if before.beyond and not options.allow_loss:
        raise _refusal("the exported model is not the source model", before.beyond, diagnose)
    choice = _choose(work, probes, before, model, clock)
    candidate, after, warnings = _settle(work, probes, choice, before, model)
    choice = settled(choice, candidate, after)
    return finish(work, probes, choice, candidate, before, after, warnings, (clock, started_ns))


def _speaker(source: SourceModel, reference: ReferenceModel, options: ConvertOptions) -> Detector | None:
    """What a source that is there only as a recording was cut out of."""
    if source.whole is None or reference.covers(None):
        return None
    return detector_of(source.whole, bytes(source.whole.model.SerializeToString()), options, ANY_ENGINE, options.engine)


def _refusal(what: str, beyond: tuple[str, ...], diagnose: Callable[[], str] | None) -> ConfigError:
    cause = diagnose() if diagnose is not None else ""
    return ConfigError(
        f"refused: {what}: {'; '.join(beyond)}",
        cause or "Export the model again, correct its preprocessing, or state the loss with --allow-loss.",
    )


def _choose(work: Work, probes: Probes, before: Proof, model: bytes, clock: Clock) -> PrecisionChoice:
    source, options = work.source, work.options

    def calibration() -> Iterator[Tensor]:
        return calibration_tensors(source, work.images, options.seed)

    def detector_for(candidate: Candidate) -> Detector:
        if candidate.precision == "fp32" and candidate.model == model:
            return before.detector  # remembers its answers
        settings = engine_settings_for(candidate, options.engine)
        return detector_of(source, candidate.model, options, ANY_ENGINE, settings)

    limits = before.good.limits
    takes_the_least_bad = options.allow_loss or options.precision != "auto"
    return choose_precision(
        source,
        calibration,
        CandidateJudge(probes, limits, work.limits, work.engine_description, detector_for, takes_the_least_bad),
        options.engine,
        clock,
        work.observer,
        options.precision,
        even_if_slower=options.even_if_slower,
    )


def _settle(
    work: Work, probes: Probes, choice: PrecisionChoice, before: Proof, plain_model: bytes
) -> tuple[Candidate, Proof, tuple[str, ...]]:
    """Prove the chosen candidate with limits of its own; where it fails, `auto` goes back to float32."""
    candidate = choice.candidate
    if candidate.precision == "fp32" and candidate.model == plain_model:
        return candidate, before, choice.refused
    settings = engine_settings_for(candidate, work.options.engine)
    there = replace(work, engine_description=engine.create(settings).description)
    after = prove(there, probes, detector_of(work.source, candidate.model, work.options, ANY_ENGINE, settings))
    if not after.beyond or work.options.allow_loss:
        return candidate, after, choice.refused
    reason = f"{candidate.name} ({candidate.route}) departs from the source model"
    if candidate.name == "int8+bf16":
        exact = replace(candidate, floats="f32")
        refused = (*choice.refused, f"{reason}: {'; '.join(after.beyond)}")
        return _settle(work, probes, replace(choice, candidate=exact, refused=refused), before, plain_model)
    if work.options.precision != "auto":
        raise _refusal(reason, after.beyond, None)
    plain = replace(candidate, precision="fp32", route="plain", model=plain_model, kept=())
    return plain, before, (*choice.refused, f"{reason}: {'; '.join(after.beyond)}")


def settled(choice: PrecisionChoice, candidate: Candidate, after: Proof) -> PrecisionChoice:
    """The choice with the candidate that is left, whose own figures go into the bundle, not those of a refused one."""
    if candidate == choice.candidate:
        return choice
    holds = not after.beyond
    told = Judgement(holds, 0.0 if holds else math.inf, brief(after.figures))
    return replace(choice, candidate=candidate, judgement=told)
