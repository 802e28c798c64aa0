"""What the station's commands share: where the station is, its keys, passphrases, and how errors are shown."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from edge_convert.release.files import only_one
from edge_convert.release.key_file import PASSPHRASE_MIN
from edge_convert.release.keyring import KeyRing
from edge_convert.release.station import KEYS, Station
from edge_runtime.domain.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_convert.release.signing import Validity

StationFolder = Annotated[Path, typer.Option("--station", help="The release station's folder.")]
KeyPlaces = Annotated[
    list[Path] | None,
    typer.Option("--key", help="A key file, or a folder with keys (a stick of a key holder); may be repeated."),
]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="File with passphrases, one per line, tried on every key. Default: you are asked.")
]
ValidDays = Annotated[int, typer.Option(min=1, max=3650, help="Days for which devices accept what is signed now.")]

DEFAULT_STATION: Final = Path("release-station")
DEFAULT_DAYS: Final = 730


@contextlib.contextmanager
def at_the_desk(
    folder: Path, keys: Sequence[Path] | None, passphrases: Path | None, validity: Validity | None = None
) -> Iterator[Station]:
    """The station, held for this command alone; an error ends the command with its text and exit code 2."""
    console = Console(stderr=True)
    try:
        ring = KeyRing([folder / KEYS, *(keys or ())], _lines(passphrases), None if passphrases else ask)
        with only_one(folder):
            yield Station(folder, ring, int(time.time()), validity)
    except EdgeError as error:
        console.print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def say(*lines: str) -> None:
    """Lines for whoever runs the command, as they are."""
    out = Console()
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def ask(text: str) -> str:
    """A passphrase from the terminal, unseen."""
    return str(typer.prompt(text, hide_input=True, err=True))


def passphrase_maker(passphrases: Path | None) -> Callable[[str], str]:
    """Gives the passphrase of each new key: the first line of the file, or what a person types twice."""
    if passphrases is not None:
        first = next(iter(_lines(passphrases)), "")
        return lambda _: first
    known: list[str] = []

    def ask_new(name: str) -> str:
        hint = f"at least {PASSPHRASE_MIN} characters" + ("; Enter: the same as before" if known else "")
        while True:
            default = "" if known else None
            text = str(
                typer.prompt(
                    f"New passphrase of {name} ({hint})", hide_input=True, default=default, show_default=False, err=True
                )
            )
            if known and not text:
                return known[-1]
            if len(text) < PASSPHRASE_MIN:
                say(f"That has {len(text)} characters.")
            elif text != ask("Once more"):
                say("The two differ.")
            else:
                known.append(text)
                return text

    return ask_new


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--passphrase-file: {path} cannot be read: {error}", "Check the file.") from error
