"""`import`: from somebody's export to a bundle that gives its verdicts, or a refusal that says why not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import SourceModel
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.images import list_images, survey
from edge_convert.importing.causes import Scorer, likely_cause, witnesses_of
from edge_convert.importing.onnx_export import open_onnx
from edge_convert.importing.provenance import created_at
from edge_convert.importing.recording import read_recording
from edge_convert.importing.reference import UNPROVEN, GraphReference, RecordedReference, saturated
from edge_convert.importing.stated import Stated
from edge_convert.importing.transforms import read_transforms
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind, Resize
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.residual import Criterion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import ConvertOptions, ReferenceModel
    from edge_convert.images import ImageSet
    from edge_convert.importing.exports import Built, Export
    from edge_convert.importing.recording import Recording
    from edge_convert.progress import Observer
    from edge_runtime.ops.clock import Clock

_WITNESSES: Final = 8
_LOWEST_SHARP: Final = 4
_SOFTER: Final = {Resize.LINEAR: Resize.LINEAR_ANTIALIAS, Resize.CUBIC: Resize.CUBIC_ANTIALIAS}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person says about one import."""

    model: Path
    images: Path
    """Folder with good parts."""
    convert: ConvertOptions
    reference: Path | None = None
    """Folder with recorded answers of the trained model."""
    metadata: Path | None = None
    preprocess: Path | None = None
    stated: Stated = field(default_factory=Stated)
    """Flags; they win over every file."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    region: tuple[int, int, int, int] | None = None
    source_limits: bool = False
    criterion: Criterion = Criterion.MSE
    """Of the residual, for a graph that gives a reconstruction."""


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known before the graph is made."""

    export: Export
    stated: Stated
    chosen: bool
    """A person or a preprocessing file says how to resize."""
    images: ImageSet
    recording: Recording | None
    scorer: Scorer | None
    """None without a recording that covers an image."""


def import_model(options: ImportOptions, observer: Observer, clock: Clock) -> ConvertReport:
    """Import a model.

    Raises:
        ConfigError: a file or option cannot be used, or the export is not the recorded model (with the likely cause).
        EngineError: the engine cannot run the graph.
        BundleError: the bundle cannot be written.
    """
    case = _gather(options, observer)
    options = _engine(options, case.export)
    stated, resize_notices = _settle_resize(case)
    built = case.export.build(stated, options.outputs)
    built = replace(built, input_spec=replace(built.input_spec, region=options.region))
    reference, notices = _reference(case, built, options.criterion)
    observer.notice(f"{case.export.path.name}: {case.export.format_name}; reference: {reference.description}")
    source = _source(options, case, built, reference, (*built.notices, *resize_notices, *notices))

    def diagnose() -> str:
        if case.scorer is None:
            return ""
        with observer.stage("looking for the cause", 1) as stage:
            found = likely_cause(case.scorer, stated, built.input_spec)
            stage.advance()
        return found

    return convert(source, reference, case.images, _limits(options, built), observer, clock, diagnose)


def open_export(model: Path, metadata: Path | None = None) -> Export:
    """Read a model file of any format that is known.

    Raises:
        ConfigError: unknown or unreadable.
    """
    match model.suffix.lower():
        case ".onnx":
            return open_onnx(model, metadata)
        case ".xml":
            from edge_convert.importing.openvino_export import open_ir  # noqa: PLC0415  (needs OpenVINO)

            return open_ir(model, metadata)
        case _:
            raise ConfigError(
                f"{model} is neither ONNX (.onnx) nor OpenVINO IR (.xml)",
                "Export the model in its own framework: a checkpoint cannot be read without it.",
            )


def _gather(options: ImportOptions, observer: Observer) -> _Case:
    export = open_export(options.model, options.metadata)
    told = options.stated
    if options.preprocess is not None:
        told = told.over(read_transforms(options.preprocess))
    recording = None if options.reference is None else read_recording(options.reference)
    with observer.stage("checking images", len(list_images(options.images))) as stage:
        images = survey(options.images, stage.advance)
    for text in images.warnings:
        observer.notice(text)
    scorer = None if recording is None else _scorer(options, export, images, recording)
    return _Case(export, told.over(export.stated), told.resize is not None, images, recording, scorer)


def _scorer(options: ImportOptions, export: Export, images: ImageSet, recording: Recording) -> Scorer | None:
    paths = list(images.files)
    if options.convert.dataset is not None:
        paths += [sample.path for sample in open_dataset(options.convert.dataset).samples if sample.is_defect]
    scores = {path: found.score for path in paths if (found := recording.of(path)) is not None}
    sharp = {path: score for path, score in scores.items() if score not in {0.0, 1.0}}
    telling = sharp if len(sharp) >= _LOWEST_SHARP else scores
    witnesses = witnesses_of(telling, telling.get, _WITNESSES)
    good = [scores[path] for path in images.files if path in scores]
    if not witnesses or not good:
        return None
    return Scorer(export, options.outputs, witnesses, float(np.std(good)), options.region, options.criterion)


def _settle_resize(case: _Case) -> tuple[Stated, tuple[str, ...]]:
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
    found = (
        f"the model was trained with antialiasing, which its export lost (scores depart by {exported:.2g} spreads "
        f"without it, by {mended:.2g} with it): images are resized with {softer.value}"
    )
    return trained, (found,)


def _reference(case: _Case, built: Built, criterion: Criterion) -> tuple[ReferenceModel, tuple[str, ...]]:
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


def _source(
    options: ImportOptions, case: _Case, built: Built, reference: ReferenceModel, notices: tuple[str, ...]
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
    )


def _in_words(built: Built, case: _Case) -> str:
    spec = built.input_spec
    origin = "taken out of the graph" if case.export.resizes else "before the graph"
    crop = f", centre {spec.width_px}×{spec.height_px} of it" if spec.resized_px is not None else ""
    height, width = spec.resized_px or (spec.height_px, spec.width_px)
    pixels = "fractions" if spec.keep_fractions else "whole pixels"
    return f"{spec.resize.value} to {width}×{height} in {pixels}{crop}, {spec.fit.value}, {spec.colour.value}, {origin}"


def _engine(options: ImportOptions, export: Export) -> ImportOptions:
    """The engine that can run the export, where only one can."""
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
