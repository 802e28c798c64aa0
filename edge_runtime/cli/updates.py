"""`edge-runtime updates`: how releases come to the device, by stick and over the network, and what became of them."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.cli.options import DEFAULT_CONFIG, Config
from edge_runtime.config.load import load_config

updates_app = typer.Typer(
    name="updates",
    help="Releases that come by stick or over the network: bring them in, and see what became of them.",
    no_args_is_help=True,
)


@updates_app.command("show")
def show_command(config: Config = DEFAULT_CONFIG) -> None:
    """What became of the last stick and of the last look into the repository, in plain words."""
    from edge_runtime.app.network_updates import last_reports  # noqa: PLC0415  (each command needs its own)
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    shown = list(last_reports(load_config(config), SystemClock()))
    typer.echo("\n".join(shown) if shown else "Nothing has come by stick or over the network yet.")


@updates_app.command("import")
def import_command(
    folder: Annotated[
        Path | None, typer.Argument(help="Where the stick is mounted: the folder that holds edge-updates/.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    problem: Annotated[str, typer.Option(help="Instead of it: why the stick could not be mounted.")] = "",
) -> None:
    """Take in what is in a folder as if it were a stick; exit 1 if anything was refused or did not work.

    The stick's unit runs this; by hand it serves where a stick is mounted already.
    """
    from edge_runtime.app.stick_import import import_stick  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    if (folder is None) == (not problem):
        raise typer.BadParameter("name a folder")
    delivery, text = import_stick(load_config(config), folder, problem, SystemClock())
    typer.echo(text, nl=False)
    if delivery.action or any(fate.action for fate in delivery.fates):
        raise typer.Exit(1)


@updates_app.command("usb")
def usb_command(
    device: Annotated[Path, typer.Argument(help="The stick's block device, /dev/sdb1.")],
    config: Config = DEFAULT_CONFIG,
    user: Annotated[str | None, typer.Option(help="Who takes in what is on it; the daemon's user.")] = None,
) -> None:
    """Mount a stick, take in what is on it, write the report on it; needs the right to mount.

    Run by edge-runtime-usb@.service when a stick is inserted.
    """
    from edge_runtime.app.mounts import SystemMounter  # noqa: PLC0415
    from edge_runtime.app.stick import visit  # noqa: PLC0415
    from edge_runtime.app.stick_process import run_import  # noqa: PLC0415

    wanted = load_config(config).updates.usb.report
    mount_point = Path(tempfile.mkdtemp(prefix="stick-", dir=os.environ.get("RUNTIME_DIRECTORY")))
    try:
        mount_point.chmod(0o755)  # the daemon's user has to get there
        done = visit(
            device,
            mount_point,
            SystemMounter(),
            lambda root, problem: run_import(config, root, problem, user),
            report=wanted,
        )
    finally:
        with contextlib.suppress(OSError):
            mount_point.rmdir()  # the empty folder, and never what a stick that could not be unmounted holds
    typer.echo(done.text, nl=False)
    typer.echo("(report.txt is on the stick)" if done.written else f"(no report.txt on the stick: {done.why_not})")


@updates_app.command("run")
def run_command(config: Config = DEFAULT_CONFIG) -> None:
    """Look into the repository that updates.ota names now and then, until stopped: edge-runtime-ota.service."""
    from edge_runtime.app.network_updates import run_updater  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415
    from edge_runtime.ops.logs import Logging  # noqa: PLC0415

    loaded = load_config(config)
    with contextlib.closing(Logging(loaded.ops.log_level, sys.stderr, os.environ)):
        run_updater(loaded, SystemClock())


@updates_app.command("check")
def check_command(config: Config = DEFAULT_CONFIG) -> None:
    """Look into the repository now, download and install what is new; exit 1 if that did not work.

    The maintenance window holds all the same.
    """
    from edge_runtime.app.network_updates import check_once  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    text, is_well = check_once(load_config(config), SystemClock())
    typer.echo(text, nl=False)
    if not is_well:
        raise typer.Exit(1)
