"""Going on after an error, as a compiler does, so that one look at the file finds all of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.config.suggest import nearest, variants
from edge_runtime.config.translate import locate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from edge_runtime.config.toml_lines import KeyPath


@dataclass(frozen=True, slots=True)
class Repair:
    """A document that differs from the user's only where an error was already reported."""

    document: dict[str, Any]
    renamed: Mapping[KeyPath, KeyPath]
    """Assumed key path → the one that stands in the file."""

    def written(self, path: KeyPath) -> KeyPath:
        """What stands in the file for `path`."""
        for length in range(len(path), 0, -1):
            if (written := self.renamed.get(path[:length])) is not None:
                return (*written, *path[length:])
        return path


def repair(root: type[BaseModel], before: Repair, errors: Sequence[ErrorDetails]) -> Repair:
    """Assume the nearest known name for an unknown one, the default for an impossible value, any value for none."""
    document = copy.deepcopy(before.document)
    renamed = dict(before.renamed)
    # Names first: what stands there misspelt is not missing.
    for error in sorted(errors, key=lambda error: error["type"] != "extra_forbidden"):
        path, table = locate(root, error["loc"])
        match error["type"]:
            case "extra_forbidden" if table is not None:
                _rename(document, renamed, path, table, before.written(path))
            case "union_tag_invalid" if table is not None:
                near = nearest(str(error["input"]["kind"]), variants(table.model_fields[str(path[-1])]))
                if near is None:
                    drop(document, path)
                else:
                    _at(document, path)["kind"] = near
            case "union_tag_not_found" if table is not None:
                _at(document, path)["kind"] = next(iter(variants(table.model_fields[str(path[-1])])))
            case "missing" if table is not None:
                _fill(document, path, table)
            case _:
                drop(document, path)
    return Repair(document, renamed)


def _rename(
    document: dict[str, Any], renamed: dict[KeyPath, KeyPath], path: KeyPath, table: type[BaseModel], written: KeyPath
) -> None:
    parent = _at(document, path[:-1])
    if not isinstance(parent, dict) or path[-1] not in parent:
        return
    value = parent.pop(path[-1])
    near = nearest(str(path[-1]), table.model_fields)
    if near is not None and near not in parent:
        parent[near] = value
        renamed[(*path[:-1], near)] = written


def _fill(document: dict[str, Any], path: KeyPath, table: type[BaseModel]) -> None:
    """Something of the right type for a key that must be there."""
    parent, field = _at(document, path[:-1]), table.model_fields.get(str(path[-1]))
    if not isinstance(parent, dict) or field is None or path[-1] in parent:
        return
    if variants(field):
        parent[path[-1]] = {}
    else:
        parent[path[-1]] = 1 if field.annotation in {int, float} else "unknown"


def drop(document: dict[str, Any], path: KeyPath) -> None:
    """Remove the value at `path` (for an element of a list: the whole list), if it is there."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    parent = _at(document, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def _at(document: Any, path: KeyPath) -> Any:
    for name in path:
        known = range(len(document)) if isinstance(document, list) else document if isinstance(document, dict) else ()
        if name not in known:
            return None
        document = document[name]
    return document
