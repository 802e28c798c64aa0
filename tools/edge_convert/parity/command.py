"""`edge-convert parity`: arguments in, a table and an exit code out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from edge_convert.arguments import write_json
from edge_convert.convert.report import in_words
from edge_convert.parity.check import check_parity
from edge_convert.progress import Terminal
from edge_convert.tables import of_pairs
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.parity.check import ParityReport

_DEPARTS = 1
_CANNOT_TELL = 2


def register(app: typer.Typer) -> None:
    """Add the command `parity`. Exit code 0: parity holds; 1: it does not; 2: it could not be checked."""
    app.command(name="parity", help="Check on this machine that a bundle gives its source model's verdicts.")(_parity)


def _parity(
    bundle: Annotated[Path, typer.Argument(help="The bundle file.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with images that it was made from; without them, golden images."),
    ] = None,
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0,
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None,
) -> None:
    console = Console(stderr=True)
    try:
        settings = EngineSettings(name=engine, threads=threads)
        with load_inspector(bundle, settings, "development") as inspector, Terminal(console) as terminal:
            report = check_parity(inspector, images or [], terminal)
        if json is not None:
            write_json(json, report.document())
    except EdgeError as error:
        console.print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(_CANNOT_TELL) from error
    Console().print(of_pairs(_rows(report)))
    if not report.holds:
        raise typer.Exit(_DEPARTS)


def _rows(report: ParityReport) -> Iterator[tuple[str, str]]:
    yield "bundle", f"{report.bundle}  (sha256 {report.digest[:16]}…)"
    yield "source", report.source
    yield "device", report.engine
    yield "golden images", report.golden.summary
    if report.golden.parity is not None:
        yield "against the source", in_words(report.golden.parity)
    if report.files is not None:
        missing = f"; {report.missing} of the reference images are not here" if report.missing else ""
        yield "reference images", in_words(report.files) + missing
    for text in report.allowed:
        yield "allowed at conversion", text
    for text in report.beyond:
        yield "beyond the limit", text
    yield "parity", "holds" if report.holds else "DOES NOT HOLD"
