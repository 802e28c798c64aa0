"""`edge-runtime run`: the daemon."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def run_command(
    config: Annotated[Path, typer.Option("--config", "-c", help="The line's configuration (TOML).")],
) -> None:
    """Run the line until SIGTERM; SIGHUP loads the limits anew."""
    with contextlib.ExitStack() as at_the_end:
        gc.disable()  # until all is loaded and `settle` sorts it
        at_the_end.callback(gc.enable)
        from edge_runtime.app.signals import Signals  # noqa: PLC0415

        signals = Signals()
        signals.install()
        from edge_runtime.app.daemon import Daemon  # noqa: PLC0415  (engines take time to import)
        from edge_runtime.config.load import load_config  # noqa: PLC0415
        from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415
        from edge_runtime.ops.logs import Logging  # noqa: PLC0415

        settings = load_config(config)
        at_the_end.callback(Logging(settings.ops.log_level, sys.stderr, os.environ).close)
        daemon = Daemon(settings, lambda: load_config(config), SystemClock(), signals)
        settle()
        daemon.run()


def settle() -> None:
    """Before the first part: what the start has left lying about goes back, and what it made is there to stay.

    The garbage collector, on from here, then walks over what parts leave behind, and no longer over all that was
    imported: its longest pause shrinks from tens of milliseconds to one or two.
    """
    from edge_runtime.ops.memory import give_back  # noqa: PLC0415

    gc.collect()
    gc.freeze()
    gc.enable()
    give_back()
