"""Options that several commands have, and who gives a command."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_CONFIG: Final = Path("/etc/edge-runtime/line.toml")

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="EDGE_RUNTIME_CONFIG", help="Configuration of the line.")
]
Why = Annotated[str, typer.Option("--why", help="Reason, for the record.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def who() -> str:
    """The person behind the command, as far as the machine knows."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"
