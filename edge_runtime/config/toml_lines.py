"""Where each key of a TOML document stands: `tomllib` keeps no line numbers, and an error needs its line."""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

KeyPath: TypeAlias = "tuple[str | int, ...]"
"""Table and key names from the root down; an int is an index into an array."""

_BLANK = " \t\r\n"
_SCALAR_END = ",]}#\n"


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """The line (first is 1) of every key, table and array element in a document that `tomllib` accepts.

    A table that is only implied (`[a.b]` implies `a`) has the line of its first mention.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of the nearest table around it that is written down; 1 for the root."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(path[:length])) is not None:
            return line
    return 1


class _Scanner:
    """One pass over a valid document. Validity is `tomllib`'s business, so nothing here reports an error."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [index for index, character in enumerate(text) if character == "\n"]
        self._array_tables: dict[KeyPath, int] = {}

    def document(self) -> None:
        """Read everything."""
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._key_value(table)
            self._skip_blank()

    def _line(self, at: int) -> int:
        return bisect_right(self._newlines, at - 1) + 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_blank(self) -> None:
        """Past white space, line ends and comments."""
        while (character := self._peek()) and character in _BLANK + "#":
            self._at = self._find("\n") if character == "#" else self._at + 1

    def _find(self, what: str) -> int:
        found = self._text.find(what, self._at)
        return len(self._text) if found < 0 else found

    def _header(self) -> KeyPath:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        names = self._key()
        self._at = self._find("]") + (2 if is_array else 1)
        path: KeyPath = ()
        for name in names[:-1]:
            path = self._enter((*path, name))
            self.lines.setdefault(path, self._line(start))
        path = (*path, names[-1])
        if is_array:
            self._array_tables[path] = self._array_tables.get(path, -1) + 1
            self.lines.setdefault(path, self._line(start))
            path = self._enter(path)
        self.lines[path] = self._line(start)
        return path

    def _enter(self, path: KeyPath) -> KeyPath:
        """An array of tables is entered through its newest element."""
        index = self._array_tables.get(path)
        return path if index is None else (*path, index)

    def _key_value(self, table: KeyPath) -> None:
        line = self._line(self._at)
        path = table
        for name in self._key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self._at = self._find("=") + 1
        self._value(path)

    def _key(self) -> list[str]:
        """A dotted key; ends before what follows its last part."""
        names = [self._key_part()]
        while self._peek() == ".":
            self._at += 1
            names.append(self._key_part())
        return names

    def _key_part(self) -> str:
        self._skip_blank()
        start = self._at
        if self._peek() in {'"', "'"}:
            self._string()
            name = str(tomllib.loads(f"k = {self._text[start : self._at]}")["k"])
        else:
            while (character := self._peek()) and (character.isalnum() or character in "_-"):
                self._at += 1
            name = self._text[start : self._at]
        while self._peek() in {" ", "\t"}:
            self._at += 1
        return name

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        character = self._peek()
        if character in {'"', "'"}:
            self._string()
        elif character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        else:
            while (character := self._peek()) and character not in _SCALAR_END:
                self._at += 1

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        self._skip_blank()
        while self._peek() not in {"]", ""}:
            self.lines[(*path, index)] = self._line(self._at)
            self._value((*path, index))
            index += 1
            self._skip_separator()
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip_blank()
        while self._peek() not in {"}", ""}:
            self._key_value(path)
            self._skip_separator()
        self._at += 1

    def _skip_separator(self) -> None:
        self._skip_blank()
        if self._peek() == ",":
            self._at += 1
            self._skip_blank()

    def _string(self) -> None:
        """Past a string of any of the four kinds."""
        quote = self._peek()
        is_multiline = self._text.startswith(quote * 3, self._at)
        fence = quote * 3 if is_multiline else quote
        self._at += len(fence)
        while self._at < len(self._text) and not self._text.startswith(fence, self._at):
            self._at += 2 if quote == '"' and self._peek() == "\\" else 1
        self._at += len(fence)
        if is_multiline:  # up to two quotes may stand directly before the closing three
            while self._peek() == quote:
                self._at += 1
