"""`edge-convert train autoencoder`: arguments in, a bundle and a summary out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from edge_convert.arguments import region, size, write_json
from edge_convert.autoencoder.plan import ModelName, TrainPlan
from edge_convert.convert.flags import conversion
from edge_convert.flags import add_command
from edge_convert.training.pytorch import need_torch
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.autoencoder.run import AutoencoderOptions, AutoencoderReport

_SHOWN = 8
_PLAN = TrainPlan()


@dataclass(frozen=True, slots=True)
class AutoencoderFlags:
    """Arguments and options as they stand on the command line."""

    images: Annotated[Path, typer.Argument(help="Folder with images of good parts.")]
    out: Annotated[Path, typer.Option(help="The bundle to write.")]
    model: Annotated[ModelName, typer.Option(help="Network.")] = ModelName.AE
    criterion: Annotated[
        str,
        typer.Option(
            help="auto (by validation), or: mean, standard_deviation, variance, kurtosis, skewness, range, minimum, "
            "maximum, sum, mse, entropy."
        ),
    ] = "auto"
    residual: Annotated[Literal["auto", "signed", "absolute"], typer.Option(help="What the criterion is of.")] = "auto"
    validation: Annotated[Path | None, typer.Option(help="Labelled images for `auto`. Default: planted defects.")] = (
        None
    )
    dataset: Annotated[Path | None, typer.Option(help="Labelled images on which parity of AUROC is checked.")] = None
    size: Annotated[str, typer.Option(help="Input size in pixels: 128 or 128x160 (height x width).")] = "128"
    colour: Annotated[Literal["auto", "mono", "rgb"], typer.Option(help="What the network sees.")] = "auto"
    region: Annotated[str | None, typer.Option(help="x,y,width,height of the part in frame pixels.")] = None
    epochs: Annotated[
        int | None, typer.Option(min=1, help="At most so many. Default: 20, of few images enough for 1600 steps.")
    ] = None
    batch: Annotated[int, typer.Option(min=2, help="Images per step.")] = _PLAN.batch
    rate: Annotated[float, typer.Option(help="Learning rate.")] = _PLAN.rate
    width: Annotated[int, typer.Option(help="Channels of the first layer.")] = _PLAN.width
    latent: Annotated[int, typer.Option(help="Length of the latent.")] = _PLAN.latent
    beta: Annotated[float, typer.Option(help="Weight of the KL divergence (VAE).")] = _PLAN.beta
    annealing: Annotated[float, typer.Option(help="Share of the epochs over which it grows.")] = _PLAN.annealing
    patience: Annotated[
        int | None, typer.Option(min=1, help="Epochs without progress before the end. Default: a quarter, at least 10.")
    ] = None
    holdout: Annotated[
        float | None, typer.Option(help="Share of images never trained on. Default: 0.1, more of few.")
    ] = None
    residual_sigma: Annotated[
        float | None, typer.Option(min=0, help="Gaussian on the residual, input pixels. Default: by validation.")
    ] = None
    map_sigma: Annotated[float | None, typer.Option(min=0, help="Gaussian on the map. Default: 1/64 of a side.")] = None
    checkpoint: Annotated[Path | None, typer.Option(help="Default: the bundle's name with .checkpoint.")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto"
    bf16: Annotated[bool | None, typer.Option("--bf16/--no-bf16", help="Default: where the silicon has it.")] = None
    threads: Annotated[int, typer.Option(min=0, max=256, help="For training and engine; 0 takes every core.")] = 0
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0
    name: Annotated[str | None, typer.Option(help="Bundle name. Default: the file's.")] = None
    bundle_version: Annotated[str, typer.Option(help="Version that every record will state.")] = "1"
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    precision: Annotated[Literal["auto", "fp32", "int8", "fp16", "bf16"], typer.Option(help="Of the bundle.")] = "auto"
    false_reject_rate: Annotated[float | None, typer.Option(help="Share of good parts above the review limit.")] = None
    golden: Annotated[int, typer.Option(min=1, max=50, help="Golden images of good parts, and as many defects.")] = 3
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help="Write a departure from parity down.")] = False
    json: Annotated[Path | None, typer.Option(help="File for the summary.")] = None

    def plan(self) -> TrainPlan:
        """What the weights depend on."""
        height_px, width_px = size("--size", self.size, 128)
        return TrainPlan(
            model=self.model,
            height_px=height_px,
            width_px=width_px,
            width=self.width,
            latent=self.latent,
            batch=self.batch,
            rate=self.rate,
            beta=self.beta,
            annealing=self.annealing,
            holdout=self.holdout,
            seed=self.seed,
        )


def register(train: typer.Typer) -> None:
    """Add the command `autoencoder`."""
    add_command(train, "autoencoder", AutoencoderFlags, _train)


def _train(flags: AutoencoderFlags) -> None:
    """Train an autoencoder on good parts, and choose the criterion of its residual."""
    flags.plan().check()
    need_torch()
    from edge_convert.autoencoder.run import train_autoencoder  # noqa: PLC0415  (imports PyTorch)
    from edge_convert.progress import Terminal  # noqa: PLC0415

    with Terminal(Console(stderr=True)) as terminal:
        report = train_autoencoder(_options(flags), terminal, SystemClock())
    write_json(flags.json, report.document())
    console = Console()
    console.print(_criteria(report))
    console.print(report.conversion.table())


def _options(flags: AutoencoderFlags) -> AutoencoderOptions:
    from edge_convert.autoencoder.criteria import Wanted  # noqa: PLC0415
    from edge_convert.autoencoder.run import AutoencoderOptions  # noqa: PLC0415  (imports PyTorch)

    return AutoencoderOptions(
        images=flags.images,
        plan=flags.plan(),
        convert=conversion(flags),
        checkpoint=flags.checkpoint or flags.out.with_suffix(".checkpoint"),
        colour=flags.colour,
        region=region(flags.region),
        wanted=Wanted(flags.criterion, flags.residual, flags.residual_sigma),
        map_sigma_px=flags.map_sigma,
        validation=flags.validation,
        epochs=flags.epochs,
        patience=flags.patience,
        resume=flags.resume,
        device=flags.device,
        threads=flags.threads,
        bf16=flags.bf16,
    )


def _criteria(report: AutoencoderReport) -> Table:
    table = Table(title=f"criteria on {report.criterion.source}", title_justify="left")
    for heading in ("criterion", "residual", "smoothed", "anomalous", "AUROC", "AUPRC"):
        table.add_column(heading)
    for figure in report.criterion.figures[:_SHOWN]:
        sense = "high" if figure.sign > 0 else "low"
        figures = (f"{figure.auroc:.4f}", f"{figure.average_precision:.4f}")
        measure = figure.measure
        table.add_row(measure.criterion.value, measure.form.value, f"{measure.sigma_px:g} px", sense, *figures)
    return table
