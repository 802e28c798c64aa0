"""`edge-runtime health`: how the running line does, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_runtime.config.load import load_config

NOT_READY = 1
"""Exit code for a line that judges nothing, or does not answer."""


def health_command(
    config: Annotated[Path | None, typer.Argument(help="The configuration that the daemon runs.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Instead of it (say, because it is torn): ops.metrics_port.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: the daemon's own words.")] = False,
) -> None:
    """Ask the running daemon for its state and every reason for it; exit 1 unless parts are judged.

    Asks `/health` on this machine: the daemon must have `ops.metrics_port` on.
    """
    from edge_runtime.app.ask import ask_health, port_of  # noqa: PLC0415  (only this command needs it)

    found = ask_health(port or port_of(None if config is None else load_config(config)))
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)
    if not found["ready"]:
        raise typer.Exit(NOT_READY)


def _print(found: dict[str, Any]) -> None:
    from edge_runtime.decision.line_rules import RULES  # noqa: PLC0415
    from edge_runtime.domain.status import LineReason  # noqa: PLC0415

    typer.echo(
        f"{str(found['state']).upper()}  {found['parts']} parts, bundle {found['bundle']}, {found['backlog']} unsent"
    )
    if (together := found.get("combination")) is not None:
        models = "; ".join(_looked(model) for model in together["models"])
        typer.echo(f"  {together['rule']}: {models}")
    for reason in found["reasons"]:
        rule = RULES[LineReason(reason["name"])]
        held = ", until acknowledged" if reason["latched"] else ""
        typer.echo(f"\n{reason['weight']}: {reason['name']} for {reason['for_s']:.0f} s{held}")
        typer.echo(f"  {reason['detail']}")
        typer.echo(f"  the line: {rule.line_does}")
        typer.echo(f"  → {rule.you_do}")


def _looked(model: dict[str, Any]) -> str:
    bundle = model["bundle"]
    return f"{bundle['name']} {bundle['version']} looked at {model['looked']} parts and decided {model['decided']}"
