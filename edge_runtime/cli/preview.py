"""`edge-runtime preview`: a live view for aiming and focusing, on this machine only."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.config.load import load_config
from edge_runtime.ops.clock import SystemClock


def preview_command(
    config: Annotated[Path, typer.Argument(help="Configuration whose camera is shown.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 9_110,
    heatmap: Annotated[bool, typer.Option(help="Inspect the frames and show the anomaly map.")] = True,
) -> None:
    """Show the camera's picture in a browser, with figures for focus and exposure. Ctrl-C ends it.

    If the daemon runs, it holds the camera and shows its own frames: this command then only says where. From another
    computer: ssh -L 9110:127.0.0.1:9110 DEVICE.
    """
    from edge_runtime.app.watch import Watch, running_preview  # noqa: PLC0415  (loads camera and imaging libraries)

    settings = load_config(config)
    if (address := running_preview(settings)) is not None:
        typer.echo(f"The daemon runs and shows its own frames: {address}")
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    Watch(settings, port, heatmap, SystemClock(), stop).run(_announce)


def _announce(address: str, why_no_heatmap: str) -> None:
    typer.echo(f"Live view: {address}  (Ctrl-C ends it)")
    if why_no_heatmap:
        typer.echo(f"No heatmap: {why_no_heatmap}")
