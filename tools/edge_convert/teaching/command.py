"""`edge-convert teach`: arguments in, a bundle and a summary out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from edge_convert.arguments import numbers, region, size, write_json
from edge_convert.coreset import CoresetSize
from edge_convert.flags import add_command
from edge_convert.options import TeachOptions
from edge_convert.teaching.area import AreaOptions
from edge_convert.teaching.contamination import Contamination
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Resize
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.report import TeachReport


@dataclass(frozen=True, slots=True)
class TeachFlags:
    """Arguments and options as they stand on the command line."""

    images: Annotated[Path, typer.Argument(help="Folder with images of good parts.")]
    backbone: Annotated[Path, typer.Option(help="ONNX backbone: input N×3×H×W, outputs are feature maps.")]
    out: Annotated[Path, typer.Option(help="The bundle to write.")]
    name: Annotated[str | None, typer.Option(help="Bundle name. Default: the file's.")] = None
    bundle_version: Annotated[str, typer.Option(help="Version that every record will state.")] = "1"
    size: Annotated[str, typer.Option(help="Input size in pixels: 256 or 256x320 (height x width).")] = "256"
    resize: Annotated[
        Literal["area", "area_halved", "linear_halved"],
        typer.Option(help="How frames shrink; area_halved is faster from large ones, linear_halved fastest."),
    ] = "area"
    layers: Annotated[str, typer.Option(help="Backbone outputs, comma-separated. Default: strides 8 and 16.")] = ""
    mean: Annotated[str | None, typer.Option(help="Normalisation for pixels in 0…1: three numbers.")] = None
    std: Annotated[str | None, typer.Option(help="Normalisation for pixels in 0…1: three numbers.")] = None
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0
    false_reject_rate: Annotated[
        float | None,
        typer.Option(help="Share of good parts above the review limit. Default: 0.01, more where images are few."),
    ] = None
    holdout: Annotated[float | None, typer.Option(help="Share of the images held out at a time.")] = None
    coreset: Annotated[
        str, typer.Option(help="Share of all patches in the memory bank; auto: accuracy against search time decides.")
    ] = "0.01"
    coreset_min: Annotated[int, typer.Option(min=1, help="Smallest memory bank; auto tries its own.")] = 500
    coreset_max: Annotated[int, typer.Option(min=1, help="Largest memory bank; auto tries up to 8000.")] = 3_000
    max_search_ms: Annotated[float | None, typer.Option(help="With --coreset auto: longest search of a part.")] = None
    neighbours: Annotated[
        int, typer.Option(min=0, max=100, help="Reweight scores by so many neighbours in the bank, as PatchCore may.")
    ] = 0
    search: Annotated[
        Literal["auto", "exact", "graph"],
        typer.Option(help="Of the bank: exact, or a float32 graph, which suits small ones; auto: by its size."),
    ] = "auto"
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0
    int8: Annotated[bool, typer.Option("--int8/--no-int8", help="Quantize the backbone.")] = True
    golden: Annotated[int, typer.Option(min=1, max=50, help="Golden images of good parts, and as many defects.")] = 3
    region: Annotated[str | None, typer.Option(help="x,y,width,height of the part in frame pixels.")] = None
    tiles: Annotated[
        str | None, typer.Option(help="Cut large frames: auto, or rows x columns as in 3x5. Default: the frame as one.")
    ] = None
    tile_overlap: Annotated[float, typer.Option(help="Share of a tile's side in common with its neighbour.")] = 0.1
    mask: Annotated[Path | None, typer.Option(help="PNG over the frame: where it is black, nothing is inspected.")] = (
        None
    )
    rotate: Annotated[
        Literal["0", "90", "free"], typer.Option(help="Parts lie as in the images, in steps of 90°, or any way.")
    ] = "0"
    contamination: Annotated[
        str, typer.Option(help="Images that are not good: auto leaves them out, keep, or a share such as 0.05.")
    ] = "auto"
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Keep an INT8 that departs from float32, and state by how much.")
    ] = False
    json: Annotated[Path | None, typer.Option(help="File for the summary.")] = None

    def options(self) -> TeachOptions:
        """What they mean.

        Raises:
            ConfigError: a text cannot be read.
        """
        height_px, width_px = size("--size", self.size)
        return TeachOptions(
            images=self.images,
            backbone=self.backbone,
            out=self.out,
            name=self.name or self.out.stem,
            version=self.bundle_version,
            height_px=height_px,
            width_px=width_px,
            resize=Resize(self.resize),
            layers=tuple(part.strip() for part in self.layers.split(",") if part.strip()),
            mean=numbers("--mean", self.mean),
            std=numbers("--std", self.std),
            engine=EngineSettings(name=self.engine, threads=self.threads),
            false_reject_rate=self.false_reject_rate,
            holdout=self.holdout,
            coreset=CoresetSize(_share(self.coreset), self.coreset_min, self.coreset_max),
            auto_size=self.coreset == "auto",
            max_search_ms=self.max_search_ms,
            neighbours=self.neighbours,
            search=self.search,
            seed=self.seed,
            int8=self.int8,
            golden=self.golden,
            region=region(self.region),
            contamination=Contamination.parse(self.contamination),
            allow_loss=self.allow_loss,
            area=AreaOptions(self.tiles, self.tile_overlap, self.mask, self.rotate),
        )


def register(app: typer.Typer) -> None:
    """Add the command `teach`."""
    add_command(app, "teach", TeachFlags, _teach)


def _teach(flags: TeachFlags) -> None:
    """Teach a PatchCore bundle from good parts alone, without PyTorch."""
    options = flags.options()
    from edge_convert.progress import Terminal  # noqa: PLC0415  (`--help` and `eval` need no quantizer)
    from edge_convert.teach import teach  # noqa: PLC0415

    with Terminal(Console(stderr=True)) as terminal:
        report = teach(options, terminal, SystemClock())
    _report(report, flags.json)


def _report(report: TeachReport, json_file: Path | None) -> None:
    write_json(json_file, report.document())
    Console().print(report.table())


def _share(text: str) -> float:
    try:
        return CoresetSize().fraction if text == "auto" else float(text)
    except ValueError as error:
        raise ConfigError(f"--coreset {text!r} is not a share", "Write auto, or e.g. 0.01.") from error
