"""`import`: from somebody's export to a bundle that gives its verdicts, or a refusal that says why not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_convert.convert.pieces import PieceReference, inspected_area
from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import SourceModel
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.importing.case import gather
from edge_convert.importing.causes import likely_cause
from edge_convert.importing.cutting import cut_patchcore
from edge_convert.importing.provenance import created_at
from edge_convert.importing.reference import UNPROVEN, GraphReference, RecordedReference, saturated
from edge_convert.importing.stated import Stated
from edge_convert.precision.choice import require_own_numbers
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind, ParityLimits, Resize
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import ConvertOptions, ReferenceModel
    from edge_convert.importing.case import Case, ImportOptions
    from edge_convert.importing.exports import Built, Export
    from edge_convert.progress import Observer
    from edge_convert.teaching.area import Area
    from edge_runtime.ops.clock import Clock
    from edge_runtime.vision.residual import Criterion

_WHOLE: Final = "this looks like a PatchCore, but is imported as one graph, without the exact search of its bank"
_SOFTER: Final = {Resize.LINEAR: Resize.LINEAR_ANTIALIAS, Resize.CUBIC: Resize.CUBIC_ANTIALIAS}


def import_model(options: ImportOptions, observer: Observer, clock: Clock) -> ConvertReport:
    """Import a model.

    Raises:
        ConfigError: a file or option cannot be used, or the export is not the recorded model (with the likely cause).
        EngineError: the engine cannot run the graph.
        BundleError: the bundle cannot be written.
    """
    options.area.check()
    options.convert.check()
    case = gather(options, observer)
    options = _engine(options, case.export)
    stated, resize_notices = _settle_resize(case)
    built = case.export.build(stated, options.outputs, masked=options.area.mask is not None)
    built = replace(built, input_spec=replace(built.input_spec, region=options.region))
    area, area_notices = inspected_area(options.area, built.input_spec, case.images.load(0))
    if area is None:
        reference, notices = _reference(case, built, options.criterion)
        notices += _unrecorded(case, options)
    else:
        built, reference, notices = _piece_by_piece(case, stated, built, area, options)
    observer.notice(f"{case.export.path.name}: {case.export.format_name}; reference: {reference.description}")
    source = _source(options, case, built, reference, area, (*built.notices, *resize_notices, *area_notices, *notices))

    def diagnose() -> str:
        return _cause(case, stated, built, observer)

    told = _limits(options, built)
    cut = cut_patchcore(source, built, case.images, told)
    reason = cut.reason
    if cut.source is not None:
        try:
            return convert(cut.source, reference, case.images, told, observer, clock)
        except ConfigError as error:
            reason = error.what
    return convert(_as_one_graph(source, reason), reference, case.images, told, observer, clock, diagnose)


def _cause(case: Case, stated: Stated, built: Built, observer: Observer) -> str:
    """What the recording shows to be wrong, in words; empty without one."""
    if case.scorer is None:
        return ""
    with observer.stage("looking for the cause", 1) as stage:
        found = likely_cause(case.scorer, stated, built.input_spec)
        stage.advance()
    return found


def _as_one_graph(source: SourceModel, reason: str) -> SourceModel:
    """With a word about why, if there is a reason."""
    return replace(source, notices=(*source.notices, f"{_WHOLE}: {reason}")) if reason else source


def _settle_resize(case: Case) -> tuple[Stated, tuple[str, ...]]:
    """Put back the antialiasing that an exporter took out, where the recording shows that it did."""
    softer = _SOFTER.get(case.stated.resize) if case.stated.resize is not None else None
    if case.chosen or not case.export.resizes or softer is None:
        return case.stated, ()
    trained = Stated(resize=softer).over(case.stated)
    if case.scorer is None:
        doubt = (
            "the graph resizes without antialiasing, as every export of anomalib does; if the model was trained with "
            f"it (anomalib's default), --resize {softer.value} gives the trained model's scores, and a recording "
            "(--reference) proves it"
        )
        return case.stated, (doubt,)
    exported, mended = case.scorer.departure(case.stated), case.scorer.departure(trained)
    if mended >= exported:
        return case.stated, ()
    return trained, (antialiasing_notice(exported, mended, softer),)


def antialiasing_notice(exported: float, mended: float, softer: Resize) -> str:
    """What the recording says about a lost antialiasing, from the scores' departure without and with it."""
    found = f"scores depart by {exported:.2g} spreads without antialiasing, by {mended:.2g} with it"
    if 2 * mended < exported:
        found = f"the model was trained with antialiasing, which its export lost ({found})"
    else:
        found = f"whether the model was trained with antialiasing cannot be told ({found}: something else is wrong)"
    return f"{found}: images are resized with {softer.value}"


def _reference(case: Case, built: Built, criterion: Criterion) -> tuple[ReferenceModel, tuple[str, ...]]:
    graph = GraphReference(case.export, built, criterion)
    if case.recording is None:
        return graph, (UNPROVEN,)
    cut = saturated(case.recording) if built.clamped else 0
    notice = (
        f"{cut} of {len(case.recording.images)} recorded scores were cut to 0 or 1 by the source: they prove only "
        "the side, the graph's own score stands in for the value"
    )
    reference = RecordedReference(case.recording, clamped=built.clamped, beyond=graph)
    return reference, (notice,) if cut else ()


def _unrecorded(case: Case, options: ImportOptions) -> tuple[str, ...]:
    """Which images prove nothing because nobody recorded them."""
    if case.recording is None:
        return ()
    labelled = () if options.convert.dataset is None else open_dataset(options.convert.dataset).samples
    notices = []
    for kind, paths, loss in (
        ("good", case.images.files, "parity is measured on the others"),
        ("labelled", [sample.path for sample in labelled], "no AUROC is compared on them"),
    ):
        missing = len(paths) - len(case.recording.covered(paths))
        if missing:
            notices.append(f"the recording has no answer for {missing} of the {len(paths)} {kind} images: {loss}")
    return tuple(notices)


def _piece_by_piece(
    case: Case, stated: Stated, built: Built, area: Area, options: ImportOptions
) -> tuple[Built, ReferenceModel, tuple[str, ...]]:
    """The reference for frames in pieces: the graph itself, once it agrees with the recording about whole images."""
    whole = replace(built, input_spec=area.whole)
    reference = PieceReference(GraphReference(case.export, whole, options.criterion), area)
    notice = _against_the_recording(case, stated, built, options)
    return replace(built, input_spec=area.spec), reference, (notice,)


def _against_the_recording(case: Case, stated: Stated, built: Built, options: ImportOptions) -> str:
    """How the graph stands to what was recorded of whole images, in words.

    Raises:
        ConfigError: it departs, with the likely cause.
    """
    if case.recording is None:
        return UNPROVEN
    if case.scorer is None:
        raise ConfigError(
            f"the reference has answers for none of the images in {case.images.folder}",
            "Record it again on the very files of that folder: they are matched by their SHA-256.",
        )
    departs = case.scorer.departure(stated)
    allowed = (options.convert.limits or ParityLimits()).good_drift
    if departs > allowed and not options.convert.allow_loss:
        raise ConfigError(
            f"refused: the exported model is not the source model: scores of whole images depart by {departs:.3g} "
            f"spreads of good parts (limit {allowed:.3g})",
            likely_cause(case.scorer, stated, built.input_spec),
        )
    return (
        f"the recording is of whole images, from which the graph's scores depart by {departs:.2g} spreads of good "
        "parts; of pieces and masked maps the graph itself is the reference"
    )


def _source(
    options: ImportOptions,
    case: Case,
    built: Built,
    reference: ReferenceModel,
    area: Area | None,
    notices: tuple[str, ...],
) -> SourceModel:
    reconstruction = "reconstruction" in built.outputs
    files = (*case.export.files, *(path for path in (options.preprocess,) if path is not None))
    notes = {
        "imported": f"{case.export.path.name}, {case.export.format_name}",
        "preprocessing": _in_words(built, case),
        "parity": f"against {reference.description}",
    }
    if case.recording is None:
        notes["parity"] = UNPROVEN
    if built.masked:
        notes["masked_score"] = "the largest value of the map within the mask"
    if built.threshold is not None:
        notes["source_threshold"] = f"{built.threshold:.6g}"
    if built.clamped:
        notes["score"] = "the source's score without its cut to 0…1"
    return SourceModel(
        model=built.model,
        kind=DetectorKind.RECONSTRUCTION if reconstruction else DetectorKind.GENERIC,
        input_spec=built.input_spec,
        outputs=built.outputs,
        created=created_at(files, case.images.newest_mtime_s),
        options={"criterion": options.criterion.value} if reconstruction else {},
        keep_float=built.keep_float,
        notes=notes,
        notices=notices,
        engines=case.export.engines,
        payload="model.ir" if case.export.engines else "model.onnx",
        area=area,
    )


def _in_words(built: Built, case: Case) -> str:
    spec = built.input_spec
    origin = "taken out of the graph" if case.export.resizes else "before the graph"
    crop = f", centre {spec.width_px}×{spec.height_px} of it" if spec.resized_px is not None else ""
    height, width = spec.resized_px or (spec.height_px, spec.width_px)
    pixels = "fractions" if spec.keep_fractions else "whole pixels"
    return f"{spec.resize.value} to {width}×{height} in {pixels}{crop}, {spec.fit.value}, {spec.colour.value}, {origin}"


def _engine(options: ImportOptions, export: Export) -> ImportOptions:
    """The engine that can run the export, where only one can."""
    require_own_numbers(export.engines, options.convert.precision)
    settings = options.convert.engine
    if not export.engines or settings.name in export.engines:
        return options
    if settings.name != "auto":
        raise ConfigError(
            f"--engine {settings.name}: {export.path.name} is for {export.engines[0]} alone",
            f"Take --engine {export.engines[0]}, or import the model's ONNX export.",
        )
    bound = settings.model_copy(update={"name": export.engines[0]})
    return replace(options, convert=replace(options.convert, engine=bound))


def _limits(options: ImportOptions, built: Built) -> ConvertOptions:
    if not options.source_limits:
        return options.convert
    if built.threshold is None:
        raise ConfigError(
            "--limits source: the export states no threshold of its own", "Take --limits good: from the good images."
        )
    return replace(options.convert, fixed_limits=Limits(review=built.threshold, reject=built.threshold))
