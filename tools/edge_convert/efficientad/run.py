"""`train efficientad`: from good parts and a teacher to a sealed bundle."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import onnx

from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import SourceModel
from edge_convert.efficientad.data import GoodParts, UnrelatedFolder, UnrelatedScenes
from edge_convert.efficientad.device import choose_device
from edge_convert.efficientad.export import ANOMALY_MAP, IMAGE, SCORE, float_nodes, to_onnx
from edge_convert.efficientad.loop import Course, follow
from edge_convert.efficientad.model import assemble
from edge_convert.efficientad.networks import start_on
from edge_convert.efficientad.quantiles import measure_quantiles, measure_teacher, spaced
from edge_convert.efficientad.reference import TorchReference
from edge_convert.efficientad.teacher_file import read_teacher
from edge_convert.efficientad.train import PAPER_SCHEDULE, PAPER_STEPS, Training
from edge_convert.training.images import gather, split, subset
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, DetectorKind, InputSpec, Layout, Resize

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import ConvertOptions
    from edge_convert.efficientad.data import Unrelated
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.loop import Outcome
    from edge_convert.efficientad.model import EfficientAd
    from edge_convert.efficientad.networks import PdnSize
    from edge_convert.efficientad.optimise import Schedule
    from edge_convert.efficientad.teacher_file import Teacher
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.ops.clock import Clock

_STATISTICS: Final = 100
"""Good parts behind the teacher's channel statistics, and held-out ones behind the quantiles, at most."""
_STARTED_ON: Final = 4


@dataclass(frozen=True, slots=True)
class EfficientAdOptions:
    """Arguments of `edge-convert train efficientad`."""

    images: Path
    teacher: Path
    convert: ConvertOptions
    checkpoint: Path
    size: PdnSize | None = None
    """What the teacher must be; None: whatever it is."""
    schedule: Schedule = PAPER_SCHEDULE
    height_px: int = 256
    width_px: int = 256
    region: tuple[int, int, int, int] | None = None
    unrelated: Path | None = None
    holdout: float | None = None
    onnx: Path | None = None
    """Where the float32 graph is written as well."""
    device: str = "auto"
    threads: int = 0
    bf16: bool = False
    save_every: int = 200
    resume: bool = False


@dataclass(frozen=True, slots=True)
class EfficientAdReport:
    """The closing summary."""

    outcome: Outcome
    trained_images: int
    held_out_images: int
    notes: dict[str, str]
    conversion: ConvertReport | None
    """None if training was stopped; the same command with --resume goes on."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        conversion = None if self.conversion is None else self.conversion.document()
        return {**asdict(self), "conversion": conversion}


def train_efficientad(options: EfficientAdOptions, observer: Observer, clock: Clock) -> EfficientAdReport:
    """Train student and autoencoder, set the quantiles on held-out good parts, convert and prove.

    Raises:
        ConfigError: an option, the teacher or the images cannot be used, or parity does not hold.
        EngineError: the engine is not there.
        BundleError: the bundle cannot be written.
    """
    options.schedule.check(min(options.height_px, options.width_px))
    teacher = read_teacher(options.teacher)
    if options.size not in {None, teacher.size}:
        raise ConfigError(
            f"{options.teacher} is a teacher of size {teacher.size.value}, not {options.size}",
            "Leave --size out, or distil a teacher of that size.",
        )
    model = assemble(teacher, options.height_px, options.width_px, options.convert.seed)
    trained, held_out, digest = _images(options, observer)
    device = choose_device(options.device, options.threads, bf16=options.bf16)
    if options.schedule.steps < PAPER_STEPS:
        observer.notice(f"a shortened training: {options.schedule.steps} steps, the paper takes {PAPER_STEPS}")
    unrelated = _unrelated(options)
    outcome = _learn(options, model, trained, unrelated, device, f"{teacher.digest} {digest}", observer, clock)
    notes = _notes(options, teacher, trained, held_out, digest, unrelated, device, outcome)
    if outcome.stopped:
        return EfficientAdReport(outcome, len(trained.files), len(held_out.files), notes, None)
    cpu = _on_cpu(model)
    measure_quantiles(model, _parts(options, held_out), _STATISTICS, cpu, observer)
    notes["quantiles"] = (
        f"0.9 and 0.995 of {min(len(held_out.files), _STATISTICS)} held-out good images: "
        f"student {model.student_quantiles.lower:.4g}, {model.student_quantiles.upper:.4g}; "
        f"autoencoder {model.autoencoder_quantiles.lower:.4g}, {model.autoencoder_quantiles.upper:.4g}"
    )
    source = _source(options, model, notes, max(trained.newest_mtime_s, held_out.newest_mtime_s))
    if options.onnx is not None:
        _save(options.onnx, source.model)
    conversion = convert(source, TorchReference(model, options.region), held_out, options.convert, observer, clock)
    options.checkpoint.unlink(missing_ok=True)
    return EfficientAdReport(outcome, len(trained.files), len(held_out.files), notes, conversion)


def _images(options: EfficientAdOptions, observer: Observer) -> tuple[ImageSet, ImageSet, str]:
    """Those to train on, those held out, and the digest of all."""
    images = gather(options.images, "EfficientAD", "100", observer)
    training, held_out = split(len(images.files), options.holdout, options.convert.seed)
    return subset(images, training), subset(images, held_out), images.digest


def _parts(options: EfficientAdOptions, images: ImageSet) -> GoodParts:
    return GoodParts(images, options.region, options.height_px, options.width_px)


def _unrelated(options: EfficientAdOptions) -> Unrelated:
    if options.unrelated is None:
        return UnrelatedScenes(options.height_px, options.width_px)
    return UnrelatedFolder(options.unrelated, options.height_px, options.width_px)


def _learn(
    options: EfficientAdOptions,
    model: EfficientAd,
    images: ImageSet,
    unrelated: Unrelated,
    device: Device,
    inputs: str,
    observer: Observer,
    clock: Clock,
) -> Outcome:
    parts = _parts(options, images)
    for name in ("teacher", "student", "autoencoder"):
        setattr(model, name, device.place(getattr(model, name)))
    model.mean, model.std = model.mean.to(device.name), model.std.to(device.name)
    course = Course(
        title="training student and autoencoder",
        steps=options.schedule.steps,
        checkpoint=options.checkpoint,
        run=_run(options, unrelated, inputs),
        save_every=options.save_every,
        resume=options.resume,
    )
    if course.check() is None:
        measure_teacher(model, parts, _STATISTICS, device, observer)
        first = device.tensor([parts.picture(index) for index in spaced(len(parts), _STARTED_ON)])
        start_on(model.student, device.normalised(first))
        start_on(model.autoencoder, device.normalised(first))
    training = Training(model, parts, unrelated, options.schedule, device, options.convert.seed)
    return follow(course, training, observer, clock)


def _run(options: EfficientAdOptions, unrelated: Unrelated, inputs: str) -> dict[str, str]:
    return {
        "teacher and images": inputs,
        "input": f"{options.height_px}×{options.width_px}, region {options.region}",
        "schedule": options.schedule.description,
        "unrelated": unrelated.description,
        "holdout": str(options.holdout),
        "seed": str(options.convert.seed),
        "bf16": str(options.bf16),
    }


def _notes(
    options: EfficientAdOptions,
    teacher: Teacher,
    trained: ImageSet,
    held_out: ImageSet,
    digest: str,
    unrelated: Unrelated,
    device: Device,
    outcome: Outcome,
) -> dict[str, str]:
    count = len(trained.files)
    notes = {
        "model": f"EfficientAD-{teacher.size.value.upper()} (arXiv 2303.14535), {teacher.channels} channels",
        "teacher": f"{options.teacher.name} sha256 {teacher.digest}",
        **{f"teacher_{name}": text for name, text in teacher.notes.items()},
        "trained_on": f"{count} of {count + len(held_out.files)} good images, sha256 of names and contents {digest}",
        "unrelated_images": unrelated.description,
        "schedule": f"{options.schedule.description}, seed {options.convert.seed}",
        "training_time": f"{outcome.seconds / 60:.1f} minutes, {outcome.cpu_seconds / 60:.1f} processor minutes",
        "trained_with": device.description,
    }
    if outcome.steps < PAPER_STEPS:
        notes["shortened"] = f"{outcome.steps} steps of {options.schedule.batch}; the paper takes {PAPER_STEPS} of 1"
    return notes


def _on_cpu(model: EfficientAd) -> Device:
    device = choose_device("cpu", 0, bf16=False)
    for name in ("teacher", "student", "autoencoder"):
        setattr(model, name, device.place(getattr(model, name)))
    model.mean, model.std = model.mean.cpu(), model.std.cpu()
    return device


def _source(options: EfficientAdOptions, model: EfficientAd, notes: dict[str, str], newest_s: int) -> SourceModel:
    graph = to_onnx(model)
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(stated) if stated.isdigit() else newest_s
    return SourceModel(
        model=graph,
        kind=DetectorKind.EFFICIENTAD,
        input_spec=InputSpec(
            tensor=IMAGE,
            height_px=options.height_px,
            width_px=options.width_px,
            resize=Resize.AREA,
            colour=ColourOrder.RGB,
            layout=Layout.NHWC,
            dtype="uint8",
            region=options.region,
        ),
        outputs={"anomaly_map": ANOMALY_MAP, "score": SCORE},
        created=datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        keep_float=float_nodes(graph),
        notes=notes,
        notices=(notes["shortened"],) if "shortened" in notes else (),
    )


def _save(path: Path, graph: Any) -> None:
    try:
        onnx.save(graph, path)
    except OSError as error:
        raise ConfigError(f"--onnx: cannot write {path}: {error.strerror}", "Choose another file.") from error
