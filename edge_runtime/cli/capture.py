"""`edge-runtime capture`: good frames for `edge-convert teach`."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_runtime.app.capture import CaptureTally

_ENDED = {
    "count": "all that were asked for",
    "limit": "the limit is reached (--limit-mb)",
    "exhausted": "the source has no more",
    "stopped": "stopped",
}


def capture_command(
    camera: Annotated[
        str,
        typer.Option("--camera", help="line.toml (its camera), sim, a folder, an index (0), a URL or a video file."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the PNG files; made if need be.")],
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    interval_ms: Annotated[int, typer.Option(min=0, help="Least time between two saved frames.")] = 0,
    limit_mb: Annotated[int, typer.Option(min=1, help="Never save more than this.")] = 2_000,
    as_json: Annotated[bool, typer.Option("--json", help="Summary for machines.")] = False,
) -> None:
    """Save frames losslessly while good parts run past the camera. Ctrl-C ends it.

    The daemon must not run on the same camera. Look through the pictures before you teach with them: a bad part among
    them teaches that it is good.
    """
    from edge_runtime.app.capture import CapturePlan, capture  # noqa: PLC0415  (loads imaging libraries)
    from edge_runtime.app.source import open_source, parse_source, refuse_feedback  # noqa: PLC0415

    clock, stop = SystemClock(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    source = parse_source(camera)
    refuse_feedback(source, out)
    _make(out)
    plan = CapturePlan(out, count, interval_ms * 1_000_000, limit_mb * 1_000_000)
    live = sys.stdout.isatty() and not as_json
    opened = open_source(source, clock)
    try:
        tally = capture(opened, plan, clock, stop, _progress if live else _silent)
    finally:
        opened.close()
    if as_json:
        typer.echo(json.dumps(asdict(tally)))
        return
    if live:
        typer.echo()
    typer.echo(f"{tally.files} files, {tally.bytes / 1e6:.1f} MB in {out}: {_ENDED[tally.ended]}.")
    if tally.lost:
        typer.echo(f"{tally.lost} triggers had no usable image.")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--out: the folder {folder} cannot be made: {error.strerror}", "Name a folder that you may write to."
        ) from error


def _silent(_tally: CaptureTally) -> None:
    pass


def _progress(tally: CaptureTally) -> None:
    typer.echo(f"\r{tally.frames} frames, {tally.bytes / 1e6:.1f} MB", nl=False)
