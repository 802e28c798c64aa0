"""`edge-convert import`: arguments in, a bundle and a summary out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from edge_convert.arguments import numbers, region, size, write_json
from edge_convert.flags import add_command
from edge_convert.importing.stated import Stated
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Layout, Resize
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.residual import Criterion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.convert.report import ConvertReport
    from edge_convert.importing.case import ImportOptions

_ROLES = ("map", "score", "reconstruction")


@dataclass(frozen=True, slots=True)
class ImportFlags:
    """Arguments and options as they stand on the command line."""

    model: Annotated[Path, typer.Argument(help="MODEL.onnx, or MODEL.xml of OpenVINO with its .bin beside it.")]
    images: Annotated[Path, typer.Option(help="Folder with images of good parts.")]
    out: Annotated[Path, typer.Option(help="The bundle to write.")]
    reference: Annotated[
        Path | None, typer.Option(help="Recorded answers of the trained model: the folder with reference.json.")
    ] = None
    dataset: Annotated[Path | None, typer.Option(help="Labelled images in MVTec's folders: AUROC on both sides.")] = (
        None
    )
    metadata: Annotated[
        Path | None, typer.Option(help="anomalib's metadata.json. Default: the one beside the model.")
    ] = None
    preprocess: Annotated[
        Path | None, typer.Option(help="JSON with the trainer's transforms under their torchvision names.")
    ] = None
    output: Annotated[
        list[str] | None, typer.Option(help="map=NAME, score=NAME or reconstruction=NAME; repeatable.")
    ] = None
    input_size: Annotated[str | None, typer.Option(help="What enters the network: 256 or 256x320, height first.")] = (
        None
    )
    layout: Annotated[Literal["nchw", "nhwc"] | None, typer.Option(help="Of the graph's input.")] = None
    colour: Annotated[Literal["rgb", "bgr", "mono"] | None, typer.Option(help="Channel order of the input.")] = None
    scale: Annotated[float | None, typer.Option(help="1 gives pixels in 0…1, 255 in 0…255.")] = None
    mean: Annotated[str | None, typer.Option(help="Subtracted after scaling: one number or three.")] = None
    std: Annotated[str | None, typer.Option(help="Divided by after that: one number or three.")] = None
    resize: Annotated[
        Literal["area", "linear", "linear_antialias", "cubic", "cubic_antialias", "nearest", "none"] | None,
        typer.Option(help="How images become the input's size."),
    ] = None
    fractions: Annotated[
        bool | None, typer.Option("--fractions/--whole-pixels", help="Resized pixels are rounded, or not.")
    ] = None
    fit: Annotated[Literal["stretch", "shorter_side"] | None, typer.Option(help="What becomes of proportions.")] = None
    resized: Annotated[str | None, typer.Option(help="Size before the centre crop to --input-size.")] = None
    region: Annotated[str | None, typer.Option(help="x,y,width,height of the part in frame pixels.")] = None
    tiles: Annotated[
        str | None, typer.Option(help="Cut large frames: auto, or rows x columns as in 3x5. Default: the frame as one.")
    ] = None
    tile_overlap: Annotated[float, typer.Option(help="Share of a tile's side in common with its neighbour.")] = 0.1
    mask: Annotated[Path | None, typer.Option(help="PNG over the frame: where it is black, nothing is inspected.")] = (
        None
    )
    search: Annotated[
        Literal["auto", "exact", "graph"], typer.Option(help="Of a PatchCore's bank; auto: by its size, as teach does.")
    ] = "auto"
    criterion: Annotated[str, typer.Option(help="Score of a reconstruction's residual: mse, kurtosis, …")] = "mse"
    limits: Annotated[
        Literal["good", "source"], typer.Option(help="From the good images, or the source's own threshold.")
    ] = "good"
    name: Annotated[str | None, typer.Option(help="Bundle name. Default: the file's.")] = None
    bundle_version: Annotated[str, typer.Option(help="Version that every record will state.")] = "1"
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0
    precision: Annotated[
        Literal["auto", "int8", "fp32", "fp16", "bf16"], typer.Option(help="auto: INT8 if it agrees and is faster.")
    ] = "auto"
    even_if_slower: Annotated[bool, typer.Option("--even-if-slower", help="Take the INT8 asked for all the same.")] = (
        False
    )
    false_reject_rate: Annotated[
        float | None, typer.Option(help="Share of good parts above the review limit. Default: by their number.")
    ] = None
    golden: Annotated[int, typer.Option(min=1, max=50, help="Golden images of good parts, and as many defects.")] = 3
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help="Write what departs into the bundle.")] = False
    json: Annotated[Path | None, typer.Option(help="File for the summary.")] = None

    def stated(self) -> Stated:
        """What they say of the preprocessing.

        Raises:
            ConfigError: a text cannot be read.
        """
        return Stated(
            input_px=_size("--input-size", self.input_size),
            resized_px=_size("--resized", self.resized),
            fit=None if self.fit is None else Fit(self.fit),
            resize=None if self.resize is None else Resize(self.resize),
            keep_fractions=self.fractions,
            colour=None if self.colour is None else ColourOrder(self.colour),
            layout=None if self.layout is None else Layout(self.layout),
            scale=self.scale,
            mean=numbers("--mean", self.mean),
            std=numbers("--std", self.std),
        )

    def options(self) -> ImportOptions:
        """What they mean.

        Raises:
            ConfigError: a text cannot be read, or options contradict each other.
        """
        from edge_convert.convert.source import ConvertOptions  # noqa: PLC0415  (`--help` needs no onnx)
        from edge_convert.importing.case import ImportOptions  # noqa: PLC0415
        from edge_convert.teaching.area import AreaOptions  # noqa: PLC0415

        return ImportOptions(
            model=self.model,
            images=self.images,
            reference=self.reference,
            metadata=self.metadata,
            preprocess=self.preprocess,
            stated=self.stated(),
            outputs=_outputs(self.output or []),
            region=region(self.region),
            area=AreaOptions(self.tiles, self.tile_overlap, self.mask),
            source_limits=self.limits == "source",
            criterion=_criterion(self.criterion),
            convert=ConvertOptions(
                out=self.out,
                name=self.name or self.out.stem,
                version=self.bundle_version,
                engine=EngineSettings(name=self.engine, threads=self.threads),
                precision=self.precision,
                false_reject_rate=self.false_reject_rate,
                golden=self.golden,
                seed=self.seed,
                allow_loss=self.allow_loss,
                even_if_slower=self.even_if_slower,
                dataset=self.dataset,
                search=self.search,
            ),
        )


def register(app: typer.Typer) -> None:
    """Add the command `import`."""
    add_command(app, "import", ImportFlags, _import)


def _import(flags: ImportFlags) -> None:
    """Make a bundle of a model that was exported elsewhere, and prove that it gives the trained model's verdicts."""
    options = flags.options()
    from edge_convert.importing.importer import import_model  # noqa: PLC0415  (`--help` needs no onnx)
    from edge_convert.progress import Terminal  # noqa: PLC0415

    with Terminal(Console(stderr=True)) as terminal:
        report = import_model(options, terminal, SystemClock())
    _report(report, flags.json)


def _report(report: ConvertReport, json_file: Path | None) -> None:
    write_json(json_file, report.document())
    Console().print(report.table())


def _outputs(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        role, _, name = text.partition("=")
        if role not in _ROLES or not name or role in found:
            raise ConfigError(f"--output {text!r} is not ROLE=NAME", f"Write one of {', '.join(_ROLES)}, each once.")
        found[role] = name
    if "reconstruction" in found and len(found) > 1:
        raise ConfigError(
            "--output names a reconstruction beside a map or score", "A reconstruction gives both: name it alone."
        )
    return found


def _criterion(text: str) -> Criterion:
    try:
        return Criterion(text)
    except ValueError as error:
        raise ConfigError(
            f"--criterion {text!r} is unknown", f"Choose from: {', '.join(item.value for item in Criterion)}."
        ) from error


def _size(option: str, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = size(option, text)
    if 0 in found:
        raise ConfigError(f"{option} {text!r} is not a size", "Write 256, or 256x320 for height x width.")
    return found
