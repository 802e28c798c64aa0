"""`edge-runtime check`: is this configuration sound, and what will the line do?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.config.absent import absent
from edge_runtime.config.describe import describe
from edge_runtime.config.problems import InvalidConfigError
from edge_runtime.config.together import read_together

if TYPE_CHECKING:
    from edge_runtime.config.load import LoadedConfig

UNUSABLE_CONFIG = 2
"""Exit code for a configuration that cannot be used."""


def check_command(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG…", help="Configuration (TOML) of each line.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check a configuration file: every error at once, and what the line will do.

    Several files are those of lines in one process: they must not claim the same things. It also works on another
    computer: a bundle or a watched folder that is not there is a warning; `doctor` looks at the rest of this machine.
    """
    try:
        everything = read_together(configs)
    except InvalidConfigError as error:
        if as_json:
            errors = [asdict(item) for item in error.problems]
            _print_json({"ok": False, "file": str(error.file), "errors": errors})
        else:
            typer.echo(error.diagnostics(), err=True)
        raise typer.Exit(UNUSABLE_CONFIG) from None
    if as_json:
        found = [_as_json(loaded) for loaded in everything]
        _print_json(found[0] if len(found) == 1 else {"ok": True, "lines": found})
    else:
        for loaded in everything:
            _print_summary(loaded)


def _as_json(loaded: LoadedConfig) -> dict[str, Any]:
    return {
        "ok": True,
        "file": str(loaded.file),
        "summary": dict(describe(loaded.config)),
        "warnings": [asdict(item) for item in (*loaded.warnings, *absent(loaded))],
    }


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_summary(loaded: LoadedConfig) -> None:
    typer.echo(f"{loaded.file}: sound. The line:")
    for side, sentence in describe(loaded.config).items():
        typer.echo(f"  {side:<9} {sentence}")
    for warning in (*loaded.warnings, *absent(loaded)):
        typer.echo(f"warning: {warning.text(loaded.file)}")
