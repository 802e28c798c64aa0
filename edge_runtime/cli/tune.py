"""`edge-runtime tune`: the fastest engine, precision and threads for the line's bundle on this device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.config.load import load_config

if TYPE_CHECKING:
    from edge_runtime.app.tune import Trial

_FILE = "tuned.json"


def tune_command(
    config: Annotated[Path, typer.Argument(help="Configuration of the line.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure only; keep nothing.")] = False,
) -> None:
    """Measure every engine, precision and number of threads that gives the bundle's golden scores; keep the fastest.

    What the table `engine` sets stays as it is set. Run it while the line stands still: whatever else runs is
    measured, too.
    """
    from edge_runtime.app.activation import open_active  # noqa: PLC0415  (engines take time to import)
    from edge_runtime.app.tune import tune  # noqa: PLC0415
    from edge_runtime.app.tuned import CHOSEN, Choice, device_key, keep_choice  # noqa: PLC0415
    from edge_runtime.broker.encoding import iso_time  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    line, clock = load_config(config), SystemClock()
    fixed = line.engine.model_fields_set
    with open_active(line, clock) as opened:
        digest = opened.manifest.identity.digest
    trials = tune(lambda: open_active(line, clock), line.engine, clock, lambda trial: None if as_json else _tell(trial))
    best = trials[0]
    settings = {name: getattr(best.settings, name) for name in CHOSEN if name not in fixed}
    file = line.engine.tuned or line.device.state_dir / _FILE
    choice = Choice(digest, device_key(line.engine), settings, best.p50_ms, iso_time(clock.wall_ns()))
    if not dry_run:
        keep_choice(file, choice)
    if as_json:
        rows = [_row(trial) for trial in trials]
        typer.echo(json.dumps({"chosen": settings, "file": None if dry_run else str(file), "trials": rows}, indent=2))
        return
    typer.echo(f"\nfastest in turns: {best.description}, {best.p50_ms:.2f} ms per part")
    if not dry_run:
        typer.echo(f"kept in {file}")
        if line.engine.tuned is None:
            typer.echo(f'→ Add to [engine], so that the line uses it:  tuned = "{file}"')


def _tell(trial: Trial) -> None:
    outcome = f"refused: {trial.refused}" if trial.refused else f"{trial.p50_ms:.2f} ms, golden scores reproduced"
    typer.echo(f"{trial.description}: {outcome}")


def _row(trial: Trial) -> dict[str, object]:
    return {
        "engine": trial.description,
        "p50_ms": None if trial.refused else trial.p50_ms,
        "refused": trial.refused or None,
    }
