"""`edge-convert backbone`: arguments in, an ONNX backbone out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edge_convert.arguments import numbers
from edge_convert.backbones.catalog import CATALOG, find
from edge_convert.progress import Terminal
from edge_runtime.domain.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge_convert.backbones.bring import Brought


def register(app: typer.Typer) -> None:
    """Add the command `backbone`."""
    app.command(name="backbone", help="Bring in a pretrained backbone: by name from its library, or from a file.")(
        _backbone
    )


def _backbone(
    name: Annotated[str | None, typer.Argument(help=f"One of {', '.join(CATALOG)}.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="ONNX with feature maps as outputs, or a PyTorch state dict.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The ONNX file to write. Default: NAME.onnx.")] = None,
    mean: Annotated[str | None, typer.Option(help="Normalisation for pixels in 0…1: three numbers.")] = None,
    std: Annotated[str | None, typer.Option(help="Normalisation for pixels in 0…1: three numbers.")] = None,
    tf_padding: Annotated[  # noqa: FBT002  (typer's way of declaring flags)
        bool, typer.Option("--tf-padding", help="A MobileNetV2 checkpoint that TensorFlow trained.")
    ] = False,
) -> None:
    console = Console(stderr=True)
    try:
        if (name is None) == (file is None):
            raise ConfigError("one backbone is needed", f"Give a name ({', '.join(CATALOG)}) or --file.")
        target = out or Path(f"{name or (file.stem if file is not None else '')}.onnx")
        rows = tuple(numbers(option, text) for option, text in (("--mean", mean), ("--std", std)))
        with Terminal(console) as terminal, tempfile.TemporaryDirectory() as folder:
            from edge_convert.backbones.bring import bring  # noqa: PLC0415  (`--help` needs no onnx)
            from edge_convert.backbones.download import fetch  # noqa: PLC0415

            source, origin = file, f"file {file.name}" if file is not None else ""
            if name is not None:
                entry = find(name)
                source, origin = Path(folder) / Path(entry.url).name, f"{entry.url} ({entry.about})"
                fetch(entry, source, terminal)
            if source is None:
                raise AssertionError  # one of both was given
            brought = bring(source, target, origin, *rows, tf_padding=tf_padding)
    except EdgeError as error:
        console.print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    _say(brought)


def _say(brought: Brought) -> None:
    out = Console()
    lines = [
        f"{brought.path} (from sha256 {brought.source_sha256[:16]}…)",
        *(f"  {layer}" for layer in brought.layers),
        f"  normalisation of RGB in 0…1: mean {brought.mean}, std {brought.std}",
        *(f"• {notice}" for notice in brought.notices),
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
