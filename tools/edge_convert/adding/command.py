"""`edge-convert add`: arguments in, a grown bundle and a summary out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge_convert.arguments import write_json
from edge_convert.flags import add_command
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.adding.add import AddReport

_LISTED = 20


@dataclass(frozen=True, slots=True)
class AddFlags:
    """Arguments and options as they stand on the command line."""

    bundle: Annotated[Path, typer.Argument(help="The PatchCore bundle.")]
    images: Annotated[Path, typer.Argument(help="Folder with good parts that it should know, e.g. false rejects.")]
    out: Annotated[Path, typer.Option(help="The bundle to write; may be the same file.")]
    bundle_version: Annotated[str | None, typer.Option(help="Default: the present one with +1, +2 …")] = None
    sample: Annotated[
        bool,
        typer.Option("--sample", help="The parts are an unselected sample of present production: new limits."),
    ] = False
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0
    json: Annotated[Path | None, typer.Option(help="File for the summary.")] = None


def register(app: typer.Typer) -> None:
    """Add the command `add`."""
    add_command(app, "add", AddFlags, _add)


def _add(flags: AddFlags) -> None:
    """Add good parts to a bundle in seconds, without the images it was taught from: it learns from false rejects."""
    from edge_convert.adding.add import AddOptions, add  # noqa: PLC0415  (`--help` needs no onnx)
    from edge_convert.progress import Terminal  # noqa: PLC0415

    settings = EngineSettings(name=flags.engine, threads=flags.threads)
    options = AddOptions(flags.bundle, flags.images, flags.out, settings, flags.bundle_version, flags.sample)
    if not flags.out.parent.is_dir():
        raise ConfigError(f"--out: there is no folder {flags.out.parent}", "Create the folder, or choose another.")
    with Terminal(Console(stderr=True)) as terminal:
        report = add(options, terminal, SystemClock())
        for text in report.warnings:
            terminal.notice(text)
    write_json(flags.json, report.document())
    _say(report)


def _say(report: AddReport) -> None:
    console = Console()
    table = Table("part", "before", "", "after", "", box=None, padding=(0, 2))
    for part in report.parts[:_LISTED]:
        table.add_row(
            Text(part.file), f"{part.before:.4f}", part.disposition_before, f"{part.after:.4f}", part.disposition_after
        )
    console.print(table)
    if len(report.parts) > _LISTED:
        console.print(f"… and {len(report.parts) - _LISTED} more")
    growth = f"memory bank {report.bank_before} → {report.bank_after} patches"
    limits = f"review {report.limits_before.review:.4f} → {report.limits_after.review:.4f}"
    console.print(f"{growth}; {limits}, {report.limits_method}", markup=False, highlight=False, soft_wrap=True)
    written = f"{report.bundle}, version {report.version}, sha256 {report.digest[:16]}…, in {report.seconds:.1f} s"
    console.print(written, markup=False, highlight=False, soft_wrap=True)
