"""`train efficientad`: from good parts and a teacher to a sealed bundle."""

from __future__ import annotations

import math
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import onnx

from edge_convert.convert.pieces import PieceReference
from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import SourceModel
from edge_convert.efficientad.device import choose_device
from edge_convert.efficientad.export import ANOMALY_MAP, SCORE, float_nodes, to_onnx
from edge_convert.efficientad.loop import Course, Outcome, follow
from edge_convert.efficientad.material import gather
from edge_convert.efficientad.model import assemble
from edge_convert.efficientad.networks import PdnSize, start_on
from edge_convert.efficientad.options import EfficientAdReport
from edge_convert.efficientad.quantiles import measure_quantiles, measure_teacher, spaced
from edge_convert.efficientad.reference import TorchReference
from edge_convert.efficientad.solved import SILENCE, solve_student
from edge_convert.efficientad.train import PAPER_STEPS, Training
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.convert.source import ReferenceModel
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.material import Material
    from edge_convert.efficientad.model import EfficientAd
    from edge_convert.efficientad.options import EfficientAdOptions
    from edge_convert.progress import Observer
    from edge_runtime.ops.clock import Clock

_STATISTICS: Final = 100
"""Pieces of good parts behind the teacher's channel statistics, and held-out ones behind the quantiles, at most."""
_STARTED_ON: Final = 4
_NO_AUTOENCODER: Final = (
    "no autoencoder: what is locally like a good part is found good, even where it is missing or misplaced; "
    "--steps trains one"
)
_NAMES: Final = {
    PdnSize.XS: "EfficientAD-XS (after arXiv 2303.14535, which has no XS)",
    PdnSize.S: "EfficientAD-S (arXiv 2303.14535)",
    PdnSize.M: "EfficientAD-M (arXiv 2303.14535)",
}
_STUDENT: Final = {
    "learnt": "all layers learnt by steps",
    "solved": "the teacher's layers, the last one solved for by least squares; steps are the autoencoder's",
}


def train_efficientad(options: EfficientAdOptions, observer: Observer, clock: Clock) -> EfficientAdReport:
    """Train student and autoencoder, set the quantiles on held-out good parts, convert and prove.

    Raises:
        ConfigError: an option, the teacher or the images cannot be used, or parity does not hold.
        EngineError: the engine is not there.
        BundleError: the bundle cannot be written.
        ImageError: an image does not fit the region, or the mask leaves nothing of it.
    """
    options.check()
    material = gather(options, observer)
    size = options.height_px, options.width_px
    model = assemble(material.teacher, *size, options.convert.seed, autoencoder=options.autoencoder)
    device = choose_device(options.device, options.threads, bf16=options.bf16)
    if not options.autoencoder:
        observer.notice(_NO_AUTOENCODER)
    elif options.schedule.steps < PAPER_STEPS:
        observer.notice(f"a shortened training: {options.schedule.steps} steps, the paper takes {PAPER_STEPS}")
    outcome = _learn(options, material, model, device, observer, clock)
    notes = _notes(options, material, device, outcome)
    counts = len(material.trained.files), len(material.held_out.files)
    if outcome.stopped:
        return EfficientAdReport(outcome, *counts, notes, None)
    if options.student == "solved":
        notes["student_solved_in"] = _solve(options, material, model, device, observer)
    cpu = _on_cpu(model)
    measure_quantiles(model, material.parts(material.held_out), _STATISTICS, cpu, observer)
    notes["quantiles"] = _quantiles(model, len(material.held_out.files))
    source = _source(material, model, notes)
    if options.onnx is not None:
        _save(options.onnx, source.model)
    conversion = convert(source, _reference(material, model), material.held_out, options.convert, observer, clock)
    if options.autoencoder and not options.keep_checkpoint:  # else it is another training's
        options.checkpoint.unlink(missing_ok=True)
    return EfficientAdReport(outcome, *counts, notes, conversion)


def _solve(
    options: EfficientAdOptions, material: Material, model: EfficientAd, device: Device, observer: Observer
) -> str:
    """Solve for the student; says how long that took."""
    used_ns = time.process_time_ns()
    parts = material.parts(material.trained)
    silence = SILENCE[material.teacher.size]
    solve_student(model, parts, material.unrelated, silence, device, options.convert.seed, observer)
    return f"{(time.process_time_ns() - used_ns) / 60e9:.1f} processor minutes"


def _quantiles(model: EfficientAd, count: int) -> str:
    """For the notes."""
    maps = {"student": model.student_quantiles}
    if model.autoencoder is not None:
        maps["autoencoder"] = model.autoencoder_quantiles
    found = "; ".join(f"{name} {values.lower:.4g}, {values.upper:.4g}" for name, values in maps.items())
    return f"0.9 and 0.995 of {count} held-out good images: {found}"


def _reference(material: Material, model: EfficientAd) -> ReferenceModel:
    whole = TorchReference(model, material.spec)
    return whole if material.area is None else PieceReference(whole, material.area)


def _learn(
    options: EfficientAdOptions,
    material: Material,
    model: EfficientAd,
    device: Device,
    observer: Observer,
    clock: Clock,
) -> Outcome:
    """What learns by steps: student and autoencoder, or the autoencoder alone."""
    parts = material.parts(material.trained)
    model.place(device)
    if not options.autoencoder:
        measure_teacher(model, parts, _STATISTICS, device, observer)
        return Outcome(0, 0.0, 0.0, math.nan, stopped=False)
    course = Course(
        title=f"training {_who_learns(options)}",
        steps=options.schedule.steps,
        checkpoint=options.checkpoint,
        run=_run(options, material),
        save_every=options.save_every,
        resume=options.resume,
    )
    if course.check() is None:
        measure_teacher(model, parts, _STATISTICS, device, observer)
        first = device.tensor([parts.picture(index) for index in spaced(len(parts), _STARTED_ON)])
        start_on(model.student, device.normalised(first))
        start_on(model.autoencoder, device.normalised(first))
    unrelated = material.unrelated if options.student == "learnt" else None
    training = Training(model, parts, unrelated, options.schedule, device, options.convert.seed)
    return follow(course, training, observer, clock)


def _who_learns(options: EfficientAdOptions) -> str:
    return "student and autoencoder" if options.student == "learnt" else "the autoencoder"


def _run(options: EfficientAdOptions, material: Material) -> dict[str, str]:
    return {
        "teacher and images": material.inputs,
        "student": options.student,
        "schedule": options.schedule.description,
        "holdout": str(options.holdout),
        "seed": str(options.convert.seed),
        "bf16": str(options.bf16),
    }


def _notes(options: EfficientAdOptions, material: Material, device: Device, outcome: Outcome) -> dict[str, str]:
    teacher, count = material.teacher, len(material.trained.files)
    notes = {
        "model": f"{_NAMES[teacher.size]}, {teacher.channels} channels",
        "teacher": f"{options.teacher.name} sha256 {teacher.digest}",
        **{f"teacher_{name}": text for name, text in teacher.notes.items()},
        "trained_on": f"{count} of {count + len(material.held_out.files)} good images, "
        f"sha256 of names and contents {material.digest}",
        "student": _STUDENT[options.student],
        "unrelated_images": material.unrelated.description,
        "schedule": f"{options.schedule.description}, seed {options.convert.seed}",
        "training_time": f"{outcome.seconds / 60:.1f} minutes, {outcome.cpu_seconds / 60:.1f} processor minutes",
        "trained_with": device.description,
    }
    if material.area is not None and material.area.notices:
        notes["tiles"] = "; ".join(material.area.notices)
    if not options.autoencoder:
        notes["shortened"] = _NO_AUTOENCODER
    elif outcome.steps < PAPER_STEPS:
        notes["shortened"] = f"{outcome.steps} steps of {options.schedule.batch}; the paper takes {PAPER_STEPS} of 1"
    return notes


def _on_cpu(model: EfficientAd) -> Device:
    device = choose_device("cpu", 0, bf16=False)
    model.place(device)
    return device


def _source(material: Material, model: EfficientAd, notes: dict[str, str]) -> SourceModel:
    graph = to_onnx(model)
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    newest_s = max(material.trained.newest_mtime_s, material.held_out.newest_mtime_s)
    seconds = int(stated) if stated.isdigit() else newest_s
    return SourceModel(
        model=graph,
        kind=DetectorKind.EFFICIENTAD,
        input_spec=material.spec,
        outputs={"anomaly_map": ANOMALY_MAP, "score": SCORE},
        created=datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        keep_float=float_nodes(graph, material.teacher.size),
        notes=notes,
        notices=(notes["shortened"],) if "shortened" in notes else (),
        area=material.area,
    )


def _save(path: Path, graph: Any) -> None:
    try:
        onnx.save(graph, path)
    except OSError as error:
        raise ConfigError(f"--onnx: cannot write {path}: {error.strerror}", "Choose another file.") from error
