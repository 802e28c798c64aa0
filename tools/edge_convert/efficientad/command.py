"""`edge-convert distill` and `edge-convert train efficientad`: arguments in, files and a summary out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from edge_convert.arguments import numbers, region, size, write_json
from edge_convert.convert.flags import conversion
from edge_convert.flags import add_command
from edge_convert.training.pytorch import need_torch
from edge_runtime.domain.model_bundle import Resize
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.efficientad.distill import DistillOptions
    from edge_convert.efficientad.options import EfficientAdOptions

_STOPPED = "stopped at step {}; the same command with --resume goes on"


@dataclass(frozen=True, slots=True)
class DistillFlags:
    """Arguments and options as they stand on the command line."""

    backbone: Annotated[Path, typer.Option(help="ONNX backbone: input N×3×H×W, outputs are feature maps.")]
    out: Annotated[Path, typer.Option(help="The teacher to write (.npz).")]
    images: Annotated[list[Path] | None, typer.Option(help="Folder with images to distil on; may be given again.")] = (
        None
    )
    size: Annotated[
        Literal["xs", "s", "m"],
        typer.Option(help="Which patch description network: the paper's s or m, or xs for slow processors."),
    ] = "s"
    start: Annotated[
        Literal["solved", "drawn"],
        typer.Option(
            help="solved: filters from patches of the pictures, the last layer by least squares; drawn: random."
        ),
    ] = "solved"
    layers: Annotated[str, typer.Option(help="Backbone outputs, comma-separated. Default: strides 8 and 16.")] = ""
    mean: Annotated[str | None, typer.Option(help="The backbone's normalisation for pixels in 0…1.")] = None
    std: Annotated[str | None, typer.Option(help="The backbone's normalisation for pixels in 0…1.")] = None
    scenes: Annotated[int, typer.Option(min=0, help="Procedural scenes beside the images.")] = 1_000
    views: Annotated[int, typer.Option(min=1, help="Views of each image: the whole, and random cut-outs.")] = 4
    per_folder: Annotated[int, typer.Option(min=0, help="At most so many images of each folder; 0: all.")] = 0
    statistics: Annotated[int, typer.Option(min=1, help="Views behind the channel normalisation.")] = 500
    steps: Annotated[int | None, typer.Option(help="Default: drawn 60000, the paper's, days on a CPU; solved 0.")] = (
        None
    )
    batch: Annotated[int, typer.Option(help="Pictures per step.")] = 16
    crop: Annotated[int, typer.Option(help="Learn on random squares of so many pixels; 0: whole pictures.")] = 0
    learning_rate: Annotated[float, typer.Option(help="Adam's.")] = 1e-4
    drop_at: Annotated[float, typer.Option(help="Share of the steps after which the rate is a tenth.")] = 0.95
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda, …")] = "auto"
    bf16: Annotated[bool, typer.Option(help="Convolutions in bfloat16: twice as fast on some processors.")] = False
    threads: Annotated[int, typer.Option(min=0, max=256, help="Processor threads; 0 leaves the choice.")] = 0
    cache_mb: Annotated[int, typer.Option(min=0, help="Memory for features that are needed again.")] = 2_048
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False


@dataclass(frozen=True, slots=True)
class EfficientAdFlags:
    """Arguments and options as they stand on the command line."""

    images: Annotated[Path, typer.Argument(help="Folder with images of good parts.")]
    teacher: Annotated[Path, typer.Option(help="Teacher of `edge-convert distill`.")]
    out: Annotated[Path, typer.Option(help="The bundle to write.")]
    size: Annotated[Literal["xs", "s", "m"] | None, typer.Option(help="Refuse a teacher of another size.")] = None
    input_size: Annotated[
        str, typer.Option(help="Input in pixels: 256 or 256x320 (height x width). Default: 256; 192 with a teacher xs.")
    ] = ""
    resize: Annotated[
        Literal["area", "area_halved", "linear_halved"],
        typer.Option(help="How frames shrink; area_halved is faster from large ones, linear_halved fastest."),
    ] = "area"
    region: Annotated[str | None, typer.Option(help="x,y,width,height of the part in frame pixels.")] = None
    tiles: Annotated[
        str | None, typer.Option(help="Cut large frames: auto, or rows x columns as in 3x5. Default: the frame as one.")
    ] = None
    tile_overlap: Annotated[float, typer.Option(help="Share of a tile's side in common with its neighbour.")] = 0.1
    mask: Annotated[Path | None, typer.Option(help="PNG over the frame: where it is black, nothing is inspected.")] = (
        None
    )
    student: Annotated[
        Literal["learnt", "solved"],
        typer.Option(
            help="learnt by steps as in the paper, or solved: the teacher's layers, the last by least squares."
        ),
    ] = "solved"
    unrelated: Annotated[
        Path | None, typer.Option(help="Pictures of other things, e.g. ImageNet's. Default: procedural scenes.")
    ] = None
    holdout: Annotated[float | None, typer.Option(help="Share of the good images held out.")] = None
    steps: Annotated[
        int | None,
        typer.Option(
            help="Default: learnt 70000, the paper's, days on a CPU; solved 0, which leaves out the autoencoder."
        ),
    ] = None
    batch: Annotated[int, typer.Option(help="Good parts per step, and as many unrelated pictures.")] = 1
    crop: Annotated[int, typer.Option(help="The student learns on random squares of so many pixels; 0: whole.")] = 0
    learning_rate: Annotated[float, typer.Option(help="Adam's.")] = 1e-4
    drop_at: Annotated[float, typer.Option(help="Share of the steps after which the rate is a tenth.")] = 0.95
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda, …")] = "auto"
    bf16: Annotated[bool, typer.Option(help="Train with bfloat16 convolutions.")] = False
    threads: Annotated[int, typer.Option(min=0, max=256, help="Processor threads; 0 leaves the choice.")] = 0
    checkpoint: Annotated[Path | None, typer.Option(help="Default: beside the bundle.")] = None
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False
    keep_checkpoint: Annotated[
        bool,
        typer.Option("--keep-checkpoint", help="Leave it: --resume then converts again, e.g. in another precision."),
    ] = False
    onnx: Annotated[Path | None, typer.Option(help="Write the float32 graph here as well.")] = None
    dataset: Annotated[Path | None, typer.Option(help="Labelled images on which parity of AUROC is checked.")] = None
    name: Annotated[str | None, typer.Option(help="Bundle name. Default: the file's.")] = None
    bundle_version: Annotated[str, typer.Option(help="Version that every record will state.")] = "1"
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    precision: Annotated[
        Literal["auto", "int8", "fp32", "fp16", "bf16"],
        typer.Option(help="auto: INT8 if it keeps parity and is faster."),
    ] = "auto"
    false_reject_rate: Annotated[float | None, typer.Option(help="Share of good parts above the review limit.")] = None
    golden: Annotated[int, typer.Option(min=1, max=50, help="Golden images of good parts, and as many defects.")] = 3
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help="Write a departure from parity down.")] = False
    json: Annotated[Path | None, typer.Option(help="File for the summary.")] = None


def register(app: typer.Typer) -> None:
    """Add the command `distill`."""
    add_command(app, "distill", DistillFlags, _distill)


def register_training(train: typer.Typer) -> None:
    """Add the command `efficientad` to the group `train`."""
    add_command(train, "efficientad", EfficientAdFlags, _train)


def _distill(flags: DistillFlags) -> None:
    """Distil the teacher of EfficientAD from a backbone, on images you name and on procedural scenes."""
    need_torch()
    from edge_convert.efficientad.distill import distill  # noqa: PLC0415  (imports PyTorch)
    from edge_convert.progress import Terminal  # noqa: PLC0415

    console = Console()
    with Terminal(Console(stderr=True)) as terminal:
        found = distill(_distill_options(flags), terminal, SystemClock())
    if found.teacher is None:
        console.print(_STOPPED.format(found.outcome.steps))
        raise typer.Exit(1)
    for name, text in found.teacher.notes.items():
        console.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)


def _train(flags: EfficientAdFlags) -> None:
    """Train EfficientAD on good parts with a distilled teacher, and convert it."""
    need_torch()
    from edge_convert.efficientad.run import train_efficientad  # noqa: PLC0415  (imports PyTorch)
    from edge_convert.progress import Terminal  # noqa: PLC0415

    with Terminal(Console(stderr=True)) as terminal:
        report = train_efficientad(train_options(flags), terminal, SystemClock())
    console = Console()
    if report.conversion is None:
        console.print(_STOPPED.format(report.outcome.steps))
        raise typer.Exit(1)
    write_json(flags.json, report.document())
    console.print(report.conversion.table())


def _distill_options(flags: DistillFlags) -> DistillOptions:
    from edge_convert.efficientad.distill import PAPER_STEPS, DistillOptions  # noqa: PLC0415  (imports PyTorch)
    from edge_convert.efficientad.networks import PdnSize  # noqa: PLC0415
    from edge_convert.efficientad.optimise import Schedule  # noqa: PLC0415

    usual = 0 if flags.start == "solved" else PAPER_STEPS
    steps = usual if flags.steps is None else flags.steps
    return DistillOptions(
        backbone=flags.backbone,
        folders=tuple(flags.images or ()),
        out=flags.out,
        size=PdnSize(flags.size),
        start=flags.start,
        layers=tuple(part.strip() for part in flags.layers.split(",") if part.strip()),
        mean=numbers("--mean", flags.mean),
        std=numbers("--std", flags.std),
        schedule=Schedule(steps, flags.batch, flags.learning_rate, drop_at=flags.drop_at, crop=flags.crop),
        scenes=flags.scenes,
        per_image=flags.views,
        per_folder=flags.per_folder,
        statistics=flags.statistics,
        seed=flags.seed,
        device=flags.device,
        bf16=flags.bf16,
        threads=flags.threads,
        cache_mb=flags.cache_mb,
        save_every=flags.save_every,
        resume=flags.resume,
    )


def train_options(flags: EfficientAdFlags) -> EfficientAdOptions:
    """What the flags ask for.

    Raises:
        ConfigError: a flag is not understood, or the teacher, whose size decides the input's, cannot be read.
    """
    from edge_convert.efficientad.networks import PdnSize  # noqa: PLC0415  (imports PyTorch)
    from edge_convert.efficientad.optimise import Schedule  # noqa: PLC0415
    from edge_convert.efficientad.options import EfficientAdOptions  # noqa: PLC0415
    from edge_convert.efficientad.train import PAPER_STEPS  # noqa: PLC0415
    from edge_convert.teaching.area import AreaOptions  # noqa: PLC0415

    height_px, width_px = _input_px(flags)
    usual = 0 if flags.student == "solved" else PAPER_STEPS
    steps = usual if flags.steps is None else flags.steps
    return EfficientAdOptions(
        images=flags.images,
        teacher=flags.teacher,
        convert=conversion(flags),
        checkpoint=flags.checkpoint or flags.out.with_suffix(".checkpoint"),
        size=PdnSize(flags.size) if flags.size else None,
        schedule=Schedule(steps, flags.batch, flags.learning_rate, drop_at=flags.drop_at, crop=flags.crop),
        height_px=height_px,
        width_px=width_px,
        resize=Resize(flags.resize),
        region=region(flags.region),
        area=AreaOptions(flags.tiles, flags.tile_overlap, flags.mask),
        student=flags.student,
        unrelated=flags.unrelated,
        holdout=flags.holdout,
        onnx=flags.onnx,
        device=flags.device,
        threads=flags.threads,
        bf16=flags.bf16,
        save_every=flags.save_every,
        resume=flags.resume,
        keep_checkpoint=flags.keep_checkpoint,
    )


def _input_px(flags: EfficientAdFlags) -> tuple[int, int]:
    from edge_convert.efficientad.networks import INPUT_PX  # noqa: PLC0415  (imports PyTorch)
    from edge_convert.efficientad.teacher_file import read_teacher  # noqa: PLC0415

    if flags.input_size:
        return size("--input-size", flags.input_size)
    side_px = INPUT_PX[read_teacher(flags.teacher).size]
    return side_px, side_px
