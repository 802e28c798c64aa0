"""`edge-runtime run`: the daemon."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config.line import LineConfig

_LEVELS: Final = ("debug", "info", "warning", "error")


def run_command(
    configs: Annotated[
        list[Path] | None, typer.Argument(metavar="CONFIG…", help="Configuration (TOML) of each line.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The same, for one line.")] = None,
) -> None:
    """Run one or several lines until SIGTERM; SIGHUP loads their limits anew.

    Several lines share the processor by turns, and one engine where they run the same bundle.
    """
    with contextlib.ExitStack() as at_the_end:
        gc.disable()  # until all is loaded and `settle` sorts it
        at_the_end.callback(gc.enable)
        from edge_runtime.app.signals import Signals  # noqa: PLC0415

        signals = Signals()
        signals.install()
        from edge_runtime.app.daemon import Daemon  # noqa: PLC0415  (engines take time to import)
        from edge_runtime.app.own_broker import with_its_broker  # noqa: PLC0415
        from edge_runtime.app.running import LineSource  # noqa: PLC0415
        from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415
        from edge_runtime.ops.logs import Logging  # noqa: PLC0415

        paths = ([] if config is None else [config]) + (configs or [])
        settings = _read(paths)
        level = min((one.ops.log_level for one in settings), key=_LEVELS.index)
        at_the_end.callback(Logging(level, sys.stderr, os.environ).close)
        lines = [LineSource(one, _reading(path)) for path, one in zip(paths, settings, strict=True)]
        first, *others = [with_its_broker(line, at_the_end.callback) for line in lines]
        daemon = Daemon(first.config, first.reload, SystemClock(), signals, others)
        settle()
        daemon.run()


def _read(paths: list[Path]) -> list[LineConfig]:
    from edge_runtime.config.load import load_config  # noqa: PLC0415

    if not paths:
        raise typer.BadParameter("name the configuration of at least one line", param_hint="CONFIG…")
    if len(paths) == 1:
        return [load_config(paths[0])]
    from edge_runtime.config.together import read_together  # noqa: PLC0415

    return [loaded.config for loaded in read_together(paths)]


def _reading(path: Path) -> Callable[[], LineConfig]:
    from edge_runtime.config.load import load_config  # noqa: PLC0415

    return lambda: load_config(path)


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
