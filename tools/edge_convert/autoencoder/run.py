"""`train autoencoder`: from a folder of good parts to a bundle whose criterion was chosen by evidence."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from edge_convert.arguments import check_writable
from edge_convert.autoencoder.criteria import Wanted, choose_criterion
from edge_convert.autoencoder.graph import OUTPUT, to_onnx
from edge_convert.autoencoder.networks import parameter_count
from edge_convert.autoencoder.pictures import all_grey, input_spec, load_pictures
from edge_convert.autoencoder.reference import TorchReference
from edge_convert.autoencoder.train import Trainer, find_hardware, fit, spare_others
from edge_convert.convert.candidates import draft_of
from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import SourceModel
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.training.images import gather, split, subset
from edge_runtime.bundles.writer import manifest_of
from edge_runtime.domain.model_bundle import DetectorKind, Requires

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.autoencoder.criteria import CriterionChoice
    from edge_convert.autoencoder.networks import Reconstructor
    from edge_convert.autoencoder.plan import TrainPlan
    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import ConvertOptions
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.ops.clock import Clock

_MAP_SIGMA_SHARE: Final = 4.0 / 256
"""Of the shorter side: a pixel's residual is noise, a defect covers several."""


@dataclass(frozen=True, slots=True)
class AutoencoderOptions:
    """Arguments of `edge-convert train autoencoder`."""

    images: Path
    plan: TrainPlan
    """Its channels, epochs and patience are replaced by what the images and the fields below say."""
    convert: ConvertOptions
    checkpoint: Path
    colour: str = "auto"
    """auto (grey images give a grey network), mono or rgb."""
    region: tuple[int, int, int, int] | None = None
    wanted: Wanted = field(default_factory=Wanted)
    map_sigma_px: float | None = None
    validation: Path | None = None
    epochs: int | None = None
    patience: int | None = None
    resume: bool = False
    device: str = "auto"
    threads: int = 0
    bf16: bool | None = None

    def check(self) -> None:
        """Refuse before training what would fail after it.

        Raises:
            ConfigError: names the option.
            DatasetError: the validation folder is not a labelled dataset.
        """
        self.wanted.measures()
        self.convert.check()
        if self.validation is not None:
            open_dataset(self.validation)
        check_writable("--checkpoint", self.checkpoint, "a file, e.g. part.checkpoint")


@dataclass(frozen=True, slots=True)
class AutoencoderReport:
    """The closing summary."""

    conversion: ConvertReport
    criterion: CriterionChoice
    plan: dict[str, Any]
    parameters: int
    trained_images: int
    held_out_images: int
    epochs: int
    best_epoch: int
    held_out_errors: tuple[float, ...]
    """Mean squared residual of the held-out images after every epoch, of pixels in 0…1."""
    hardware: str
    training_seconds: float
    """Of this run; a resumed one has trained before."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "conversion": self.conversion.document()}


@dataclass(frozen=True, slots=True)
class _Trained:
    network: Reconstructor
    plan: TrainPlan
    held_out: ImageSet
    trained_images: int
    trainer: Trainer
    hardware: str
    seconds: float


def train_autoencoder(options: AutoencoderOptions, observer: Observer, clock: Clock) -> AutoencoderReport:
    """Train, choose the criterion, convert and prove.

    Limits and golden images come from the held-out images. They also decided when training ended and, without labelled
    validation images, carried the planted defects that chose the criterion: three mild uses, none of which is training.

    Raises:
        ConfigError: an option or the images cannot be used, training diverged, or parity does not hold.
        DatasetError: the validation folder is not a labelled dataset.
        EngineError: the engine is not there.
        BundleError: the bundle cannot be written.
    """
    options.check()
    images = gather(options.images, "an autoencoder", "several hundred", observer)
    plan = _plan(options, images)
    spec = input_spec(plan, options.region)
    trained = _train(options, images, plan, spec, observer, clock)
    choice = _choose(options, trained, spec, images, observer)
    source = _source(options, trained, spec, images, choice)
    reference = _reference(trained, source, options.convert)
    conversion = convert(source, reference, trained.held_out, options.convert, observer, clock)
    return _report(conversion, choice, trained)


def _plan(options: AutoencoderOptions, images: ImageSet) -> TrainPlan:
    channels = 1 if options.colour == "mono" or (options.colour == "auto" and all_grey(images)) else 3
    training, _ = split(len(images.files), options.plan.holdout, options.plan.seed)
    plan = replace(options.plan, channels=channels).sized(len(training), options.epochs, options.patience)
    plan.check()
    return plan


def _choose(
    options: AutoencoderOptions, trained: _Trained, spec: InputSpec, images: ImageSet, observer: Observer
) -> CriterionChoice:
    plain = _source(options, trained, spec, images, None)
    choice = choose_criterion(
        _reference(trained, plain, options.convert).residual,
        trained.held_out,
        options.validation,
        options.wanted,
        options.region,
        observer,
        trained.plan.seed,
    )
    observer.notice(_in_words(choice))
    return choice


def _report(conversion: ConvertReport, choice: CriterionChoice, trained: _Trained) -> AutoencoderReport:
    progress = trained.trainer.progress
    return AutoencoderReport(
        conversion=conversion,
        criterion=choice,
        plan=trained.plan.document(),
        parameters=parameter_count(trained.network),
        trained_images=trained.trained_images,
        held_out_images=len(trained.held_out.files),
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        held_out_errors=tuple(progress.errors),
        hardware=trained.hardware,
        training_seconds=trained.seconds,
    )


def _train(
    options: AutoencoderOptions,
    images: ImageSet,
    plan: TrainPlan,
    spec: InputSpec,
    observer: Observer,
    clock: Clock,
) -> _Trained:
    hardware = find_hardware(options.device, options.threads, bf16=options.bf16)
    region = "" if options.region is None else f", region {options.region}"
    trainer = Trainer(plan, images.digest + region, hardware)
    if options.resume:
        trainer.load(options.checkpoint)
        observer.notice(f"resumed from {options.checkpoint} after epoch {trainer.progress.epoch}")
    else:
        spare_others(options.checkpoint)
    pictures = load_pictures(images, plan, spec, observer)
    started_ns = clock.monotonic_ns()
    try:
        network = fit(trainer, plan, pictures, options.checkpoint, observer)
    except KeyboardInterrupt:
        observer.notice(f"interrupted in epoch {trainer.progress.epoch + 1}; {_what_is_left(trainer)}")
        raise
    seconds = (clock.monotonic_ns() - started_ns) / 1e9
    held_out = subset(images, pictures.held_out_indices)
    return _Trained(network, plan, held_out, len(pictures.training), trainer, hardware.description, seconds)


def _what_is_left(trainer: Trainer) -> str:
    if not trainer.saved_epoch:
        return "nothing was saved yet: the same command starts anew"
    return f"the same command with --resume goes on after epoch {trainer.saved_epoch}"


def _source(
    options: AutoencoderOptions, trained: _Trained, spec: InputSpec, images: ImageSet, choice: CriterionChoice | None
) -> SourceModel:
    """Without a choice: the signed residual as it is, for judging criteria."""
    plan = trained.plan
    map_sigma_px = options.map_sigma_px
    if map_sigma_px is None:
        map_sigma_px = _MAP_SIGMA_SHARE * min(plan.height_px, plan.width_px)
    parameters = {"map_sigma_px": map_sigma_px}
    words: dict[str, str] = {}
    if choice is not None:
        measure = choice.chosen.measure
        words = {"criterion": measure.criterion.value, "residual": measure.form.value}
        parameters |= {"criterion_sign": float(choice.chosen.sign), "residual_sigma_px": measure.sigma_px}
    return SourceModel(
        model=to_onnx(trained.network, plan),
        kind=DetectorKind.RECONSTRUCTION,
        input_spec=spec,
        outputs={"reconstruction": OUTPUT},
        created=_created(images),
        parameters=parameters,
        options=words,
        notes=_notes(trained, images, choice),
    )


def _reference(trained: _Trained, source: SourceModel, options: ConvertOptions) -> TorchReference:
    return TorchReference(trained.network, trained.plan, manifest_of(draft_of(source, options, Requires()), {}))


def _notes(trained: _Trained, images: ImageSet, choice: CriterionChoice | None) -> dict[str, str]:
    progress = trained.trainer.progress
    return {
        "model": ", ".join(f"{name} {value}" for name, value in trained.plan.document().items()),
        "trained_on": (
            f"{trained.trained_images} of {len(images.files)} good images, sha256 of names and contents "
            f"{images.digest}; best after epoch {progress.best_epoch} of {progress.epoch}; {trained.hardware}"
        ),
        "criterion": "" if choice is None else _in_words(choice),
    }


def _in_words(choice: CriterionChoice) -> str:
    measure = choice.chosen.measure
    smoothed = f", smoothed by {measure.sigma_px:g} px" if measure.sigma_px else ""
    low = ", low is anomalous" if choice.chosen.sign < 0 else ""
    score = f"{measure.criterion.value} of the {measure.form.value} residual{smoothed}{low}"
    return f"score: {score}; AUROC {choice.chosen.auroc:.4f} on {choice.source}"


def _created(images: ImageSet) -> str:
    """The state of the inputs, not the time of day."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(stated) if stated.isdigit() else images.newest_mtime_s
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
