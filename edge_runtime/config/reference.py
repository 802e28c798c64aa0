"""docs/configuration.md, from the settings: `python -m edge_runtime.config.reference docs/configuration.md`."""

from __future__ import annotations

import json
import re
import sys
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from edge_runtime.config.line import LineConfig
from edge_runtime.config.meaning import meanings
from edge_runtime.config.suggest import variants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic.fields import FieldInfo

_INTRODUCTION = """\
# Configuration

Every key of a line's configuration. This file is written by the code, not by hand:
`python -m edge_runtime.config.reference docs/configuration.md`.

The file is TOML. Relative paths count from its folder; `~` is the user's home. A key or table that is not listed here
is an error, never ignored. A key whose default is *unset* is left out to leave it unset. `edge-runtime check FILE` says
every mistake at once, each with its line, also those between keys, and warns of a bundle or a watched folder that is
not there (exit code 0 all the same: the line may be meant for another computer); `configs/` has commented examples to
begin with.
"""
_WORDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", Path: "path"}
_UNSET = "*unset*"
_REQUIRED = "**required**"


def document() -> str:
    """The whole reference in Markdown: an overview, then a section for each table in the order of `LineConfig`."""
    found = list(_tables(LineConfig, ""))
    overview = [(_link(name), _default(field), _about(field)) for name, field in found]
    sections = [_section(name, field) for name, field in found]
    return "\n".join([_INTRODUCTION, _table(("table", "if left out", "what it is"), overview), *sections])


def _tables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """Every table with its dotted name, outer before inner; a table of several kinds comes once."""
    for name, field in model.model_fields.items():
        kinds = variants(field)
        if kinds:
            yield f"{prefix}{name}", field
        for kind in kinds.values():
            yield from _tables(kind, f"{prefix}{name}.")


def _section(name: str, field: FieldInfo) -> str:
    left_out = f" If left out: {default}." if (default := _default(field)).startswith("`") else ""
    parts = [f"## `[{name}]`\n", f"{_about(field)}{left_out}\n"]
    for tag, model in variants(field).items():
        if tag:
            parts += [f"### `[{name}]` with `kind = {_toml(tag)}`\n", f"{_summary(model)}\n"]
        kind_first = sorted(model.model_fields.items(), key=lambda item: item[0] != "kind")
        rows = [_row(name, model, key, inner) for key, inner in kind_first]
        parts.append(_table(("key", "type", "default", "meaning"), rows))
    return "\n".join(parts)


def _about(field: FieldInfo) -> str:
    """What the table is; for one of several kinds the module that defines them knows."""
    kinds = variants(field)
    if "" in kinds:
        return _summary(kinds[""])
    home = sys.modules[next(iter(kinds.values())).__module__].__doc__ or ""
    return f"{_sentence(home)} Its kinds: {_alternatives([_code(kind) for kind in kinds], 'and')}."


def _summary(model: type[BaseModel]) -> str:
    return _sentence(model.__doc__ or "")


def _sentence(docstring: str) -> str:
    """The docstring without the table's name in front, which the heading says already."""
    text = re.sub(r"^`\[[\w.]+\]`: ", "", " ".join(docstring.split()))
    return text[:1].upper() + text[1:]


def _row(table: str, model: type[BaseModel], key: str, field: FieldInfo) -> tuple[str, str, str, str]:
    kind = f"table {_link(f'{table}.{key}')}" if variants(field) else _type(field)
    return f"`{key}`", kind, _default(field), " ".join(meanings(model).get(key, "").split())


def _type(field: FieldInfo) -> str:
    """The values that the key takes, in plain words."""
    words = _plain(field.annotation)
    form = field.json_schema_extra.get("form") if isinstance(field.json_schema_extra, dict) else None
    return f"{words}: {form}" if form else ", ".join([words, *_range(field)])


def _plain(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _alternatives([_code(choice) for choice in arguments], "or")
    if origin in {Union, UnionType}:
        return _alternatives([_plain(option) for option in arguments if option is not type(None)], "or")
    if origin is tuple:
        return f"list of {_plain(arguments[0])}"
    if origin is dict:
        return f"table of {_plain(arguments[1])}"
    if issubclass(annotation, Enum):
        return _alternatives([_code(member) for member in annotation], "or")
    return _WORDS[annotation]


def _range(field: FieldInfo) -> Iterator[str]:
    bounds = {
        name: getattr(constraint, name)
        for constraint in field.metadata
        for name in ("ge", "gt", "le", "lt", "pattern")
        if getattr(constraint, name, None) is not None
    }
    if "ge" in bounds and "le" in bounds:
        yield f"{bounds.pop('ge')} to {bounds.pop('le')}"
    words = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than", "pattern": "of the form"}
    yield from (f"{words[name]} {bound}" for name, bound in bounds.items())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return _REQUIRED
    value = field.get_default(call_default_factory=True)
    if value is None:
        return _UNSET
    if isinstance(value, BaseModel):
        chosen = [f"{key} = {_toml(getattr(value, key))}" for key in value.model_fields_set]
        return f"`{', '.join(sorted(chosen))}`" if chosen else "defaults"
    return _code(value)


def _code(value: Any) -> str:
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    """The value as it is written in the file."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, Enum):
        return _toml(value.value)
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _alternatives(words: Sequence[str], last: str) -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _link(name: str) -> str:
    """To the section of a table; its fragment is the heading without punctuation."""
    return f"[`[{name}]`](#{name.replace('.', '')})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
