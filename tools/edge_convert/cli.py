"""The command line of the companion: arguments in, files and a summary out."""

from __future__ import annotations

import typer

from edge_convert import train_command
from edge_convert.adding import command as add_command
from edge_convert.advise import command as advise_command
from edge_convert.backbones import command as backbone_command
from edge_convert.bench import command as bench_command
from edge_convert.combining import command as combining_command
from edge_convert.efficientad import command as efficientad_command
from edge_convert.evaluate import command as evaluate_command
from edge_convert.importing import command as import_command
from edge_convert.parity import command as parity_command
from edge_convert.release import command as release_command
from edge_convert.relimit import command as relimit_command
from edge_convert.teaching import command as teach_command
from edge_runtime.cli.panels import in_panels

PANELS = {
    "Make a bundle": ("advise", "teach", "add", "import", "train", "backbone", "distill"),
    "Prove it": ("eval", "parity", "relimit", "combine"),
    "Release it": ("keys", "release", "releases", "stick", "serve", "revoke", "renew", "rotate-root"),
    "Tools": ("bench",),
}

app = typer.Typer(
    cls=in_panels(PANELS),
    help="From images of good parts to a bundle for edge-runtime, and the figures that judge it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
evaluate_command.register(app)
teach_command.register(app)
add_command.register(app)
parity_command.register(app)
relimit_command.register(app)
backbone_command.register(app)
advise_command.register(app)
train_command.register(app)
efficientad_command.register(app)
import_command.register(app)
release_command.register(app)
bench_command.register(app)
combining_command.register(app)


@app.callback()
def _commands() -> None:
    """Keep the commands' names even where only one is registered."""
