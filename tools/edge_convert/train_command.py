"""`edge-convert train …`: the networks that are trained here. PyTorch is imported when one of them runs, not before."""

from __future__ import annotations

import typer

from edge_convert.autoencoder import command as autoencoder_command
from edge_convert.efficientad import command as efficientad_command


def register(app: typer.Typer) -> None:
    """Add the group `train`; each network's command module has a `register(train)` of its own."""
    train = typer.Typer(help="Train a network on good parts (needs the extra `train`).", no_args_is_help=True)
    autoencoder_command.register(train)
    efficientad_command.register_training(train)
    app.add_typer(train, name="train")
