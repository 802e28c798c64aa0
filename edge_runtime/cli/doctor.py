"""`edge-runtime doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.app.doctor import Finding, State, examine, probes
from edge_runtime.config.load import load_config

_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.ERROR: "bold red"}


def doctor_command(
    config: Annotated[Path | None, typer.Argument(help="Configuration whose devices are looked at too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Look at engines, cameras, serial ports, broker, disk, clock and permissions; exit 1 on any error.

    Nothing is changed and no camera or gate is opened, so it may run beside the daemon.
    """
    found = list(examine(probes(None if config is None else load_config(config))))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2, ensure_ascii=False))
    else:
        _print(found)
    if any(finding.state is State.ERROR for finding in found):
        raise typer.Exit(1)


def _print(found: list[Finding]) -> None:
    from rich.console import Console  # noqa: PLC0415  (only for people)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_edge=False, pad_edge=False)
    for title in ("", "what", "finding"):
        table.add_column(title, overflow="fold")
    for finding in found:
        text = Text(finding.detail)
        if finding.action:
            text.append(f"\n→ {finding.action}", style="bold")
        table.add_row(Text(finding.state, style=_COLOURS[finding.state]), finding.subject, text)
    Console().print(table)
