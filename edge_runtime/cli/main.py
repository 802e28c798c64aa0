"""The commands of `edge-runtime`, and what an error becomes: text for a technician and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_runtime import __version__
from edge_runtime.cli.bundle import bundle_app
from edge_runtime.cli.capture import capture_command
from edge_runtime.cli.check import UNUSABLE_CONFIG, check_command
from edge_runtime.cli.demo import demo_command
from edge_runtime.cli.doctor import doctor_command
from edge_runtime.cli.health import health_command
from edge_runtime.cli.ledger import ledger_app
from edge_runtime.cli.panels import in_panels
from edge_runtime.cli.preview import preview_command
from edge_runtime.cli.run import run_command
from edge_runtime.cli.soak import soak_command
from edge_runtime.cli.tune import tune_command
from edge_runtime.cli.updates import updates_app
from edge_runtime.domain.errors import ConfigError, EdgeError

PANELS = {
    "Set up a line": ("demo", "check", "doctor", "preview", "capture"),
    "Run it": ("run", "health"),
    "Models and records": ("bundle", "updates", "ledger"),
    "Measure a machine": ("tune", "soak"),
}

app = typer.Typer(
    name="edge-runtime",
    cls=in_panels(PANELS),
    help="Industrial anomaly inspection on the line: frames in, verdicts out, the reject fired.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("demo")(demo_command)
app.command("check")(check_command)
app.command("doctor")(doctor_command)
app.command("health")(health_command)
app.command("capture")(capture_command)
app.command("preview")(preview_command)
app.command("soak")(soak_command)
app.command("tune")(tune_command)
app.add_typer(ledger_app)
app.add_typer(updates_app)
app.add_typer(bundle_app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-runtime {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exits 2 on an unusable configuration or command line, 1 on other errors."""
    try:
        app()
    except EdgeError as error:
        typer.echo(error.diagnostics(), err=True)
        sys.exit(UNUSABLE_CONFIG if isinstance(error, ConfigError) else 1)
