"""The configuration file as text: read, parsed as TOML, and rid of values that no setting can hold."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.config.problems import ConfigProblem, InvalidConfigError
from edge_runtime.config.toml_lines import key_lines, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge_runtime.config.toml_lines import KeyPath

_LARGEST_BYTES = 1_000_000
_POSITION = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_UNQUOTED = ("Invalid value", "Expected newline or end of document after a statement")
"""What the parser says of text, paths and addresses without quotation marks."""
_QUOTES = (
    ' (text, paths and addresses stand in quotes: host = "192.168.1.5"; '
    "numbers have a point: 0.5; true and false are written small)"
)
_BACKSLASH = " (a path with backslashes stands in single quotes: 'C:\\images')"
_HINTS = {
    **dict.fromkeys(_UNQUOTED, _QUOTES),
    "Cannot overwrite a value": " (this key or table is there twice: keep one of them)",
    "Cannot declare": " (this table is there twice: put its keys under one heading)",
    **dict.fromkeys(("Unescaped '\\' in a string", "Invalid hex value"), _BACKSLASH),
}
"""What the parser's words begin with, and what a technician makes of them."""


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A parsed file that still knows its lines."""

    file: Path
    document: dict[str, Any]
    lines: Mapping[KeyPath, int]

    def problem(self, path: KeyPath, message: str) -> ConfigProblem:
        """A problem at `path`, with its line and dotted key."""
        return ConfigProblem(line_of(self.lines, path), dotted(path), message)


def dotted(path: KeyPath) -> str:
    """`camera.patterns[2]` for ("camera", "patterns", 2)."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_source(file: Path) -> TomlSource:
    """Read and parse a configuration file.

    Raises:
        InvalidConfigError: it cannot be read, is empty, is not UTF-8 or is not TOML.
    """
    text = _text(file)
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise InvalidConfigError(
            file, [ConfigProblem(0, "", "is nested far too deeply to be a configuration")]
        ) from None
    except ValueError as error:  # TOMLDecodeError, and what int() says about numbers with thousands of digits
        raise InvalidConfigError(file, [_syntax_problem(text, error)]) from None
    if not document:
        raise InvalidConfigError(file, [ConfigProblem(0, "", "is empty: was it written to the end?")])
    return TomlSource(file, document, key_lines(text.replace("\r\n", "\n")))


def _text(file: Path) -> str:
    def refuse(line: int, message: str) -> InvalidConfigError:
        return InvalidConfigError(file, [ConfigProblem(line, "", message)])

    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise refuse(0, "does not exist") from None
    except OSError as error:
        raise refuse(0, f"cannot be read: {error.strerror or error}") from None
    if len(content) > _LARGEST_BYTES:
        raise refuse(0, "is larger than 1 MB: this is not a configuration file")
    try:
        return content.decode("utf-8-sig")  # some Windows editors put a byte order mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refuse(line, "is not UTF-8 text: save it as UTF-8") from None


def _syntax_problem(text: str, error: ValueError) -> ConfigProblem:
    message = str(error)
    if (position := _POSITION.search(message)) is not None:
        line, column = int(position[1]), int(position[2])
        found = message[: position.start()].rstrip()
        hint = _hint(found)
        return ConfigProblem(line, "", f"is not valid TOML: {found} at column {column}{hint}")
    line = text.rstrip().count("\n") + 1
    found = message.replace(" (at end of document)", " at the end")
    return ConfigProblem(line, "", f"is not valid TOML: {found}{_hint(message)}")


def _hint(found: str) -> str:
    return next((hint for start, hint in _HINTS.items() if found.startswith(start)), "")


def impossible_values(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Values that TOML allows and no setting can mean: infinite numbers, dates, text with a NUL."""
    yield from _impossible((), document)


def _impossible(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, str]]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _impossible((*path, name), inner)
        case list():
            for index, inner in enumerate(value):
                yield from _impossible((*path, index), inner)
        case float() if not math.isfinite(value):
            yield path, "must be a finite number"
        case str() if "\0" in value:
            yield path, "must not contain a NUL character"
        case str() | int() | float():
            pass
        case _:
            yield path, "is a date or time to TOML; put it in quotes if text is meant"
