"""pydantic's findings in a technician's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from edge_runtime.config.meaning import meanings
from edge_runtime.config.source import dotted
from edge_runtime.config.suggest import explain_unknown, nearest, variants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from edge_runtime.config.toml_lines import KeyPath

_TYPES = {
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "enum": "text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of reasonable size",
    "float_type": "a number",
    "tuple_type": "a list in [ ]",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_LENGTHS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}


def locate(root: type[BaseModel], location: Sequence[str | int]) -> tuple[KeyPath, type[BaseModel] | None]:
    """The key path behind pydantic's location (without the names of variants), and the model of its table."""
    path: list[str | int] = []
    model: type[BaseModel] | None = root
    table: type[BaseModel] | None = root
    rest = list(location)
    while rest:
        name = rest.pop(0)
        path.append(name)
        table = model
        field = model.model_fields.get(str(name)) if model is not None else None
        if field is None:
            break
        options = variants(field)
        if not options:
            path += [part for part in rest if isinstance(part, int)]
            break
        if "" in options and rest and isinstance(rest[0], int):  # one of a list of tables
            path.append(rest.pop(0))
        model = options.get("") or (options.get(str(rest.pop(0))) if rest else None)
    return tuple(path), table


def translate(root: type[BaseModel], errors: Sequence[ErrorDetails]) -> Mapping[KeyPath, str]:
    """One message for each place; several findings about one value (a number or text) are joined."""
    found: dict[KeyPath, list[str]] = {}
    for error in errors:
        path, table = locate(root, error["loc"])
        if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            path = (*path, "kind")
        message = _message(root, path, table, error)
        messages = found.setdefault(path, [])
        if message not in messages:
            messages.append(message)
    return {path: _joined(messages) for path, messages in found.items()}


def _joined(messages: Sequence[str]) -> str:
    prefix = "must be "
    if len(messages) > 1 and all(message.startswith(prefix) for message in messages):
        stripped = [message.removeprefix(prefix).split(", not ")[0] for message in messages]
        return prefix + " or ".join(stripped)
    return "; ".join(messages)


def _message(root: type[BaseModel], path: KeyPath, table: type[BaseModel] | None, error: ErrorDetails) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    field = table.model_fields.get(str(path[-1])) if table is not None and path else None
    if kind == "extra_forbidden" and table is not None:
        message = explain_unknown(root, dotted(path[:-1]), table, str(path[-1]))
    elif kind == "missing":
        message = f"is missing{_meaning(table, path)}"
    elif kind == "union_tag_not_found":
        message = f"is missing; it is one of {_choices(_tags(table, path))}"
    elif kind == "union_tag_invalid":
        message = _not_among(str(context["tag"]), _tags(table, path))
    elif kind in {"literal_error", "enum"} and field is not None:
        message = _not_among(value, _allowed(field))
    elif kind == "value_error":
        message = str(context["error"])
    else:
        message = _wrong_value(error, field)
    return message


def _wrong_value(error: ErrorDetails, field: FieldInfo | None) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]} (is {value})"
    if kind in _LENGTHS:
        words, bound = _LENGTHS[kind]
        return f"must have {words} {context[bound]} in its list (has {context['actual_length']})"
    if kind == "string_pattern_mismatch":
        return f"must be {_form(field) or 'of the form ' + str(context['pattern'])}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, not {_kind_of(value)}"
    return error["msg"][:1].lower() + error["msg"][1:]


def _tags(table: type[BaseModel] | None, path: KeyPath) -> Sequence[str]:
    """The kinds of the table whose `kind` is at `path`; `table` is the one around it."""
    return [] if table is None else list(variants(table.model_fields[str(path[-2])]))


def _allowed(field: FieldInfo) -> Sequence[Any]:
    annotation = field.annotation
    if isinstance(annotation, type):  # an enumeration
        return [member.value for member in annotation]
    return get_args(annotation)


def _form(field: FieldInfo | None) -> str | None:
    extra = field.json_schema_extra if field is not None else None
    return str(extra["form"]) if isinstance(extra, dict) and "form" in extra else None


def _meaning(table: type[BaseModel] | None, path: KeyPath) -> str:
    description = meanings(table).get(str(path[-1])) if table is not None and path else None
    return f": {description.splitlines()[0].strip()}" if description else ""


def _choices(allowed: Sequence[Any]) -> str:
    return ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in allowed)


def _not_among(value: Any, allowed: Sequence[Any]) -> str:
    if isinstance(value, str) and (near := nearest(value, [str(choice) for choice in allowed])) is not None:
        return f'"{value}" is not known; did you mean "{near}"? It is one of {_choices(allowed)}'
    shown = f'"{value}" is not known: it' if isinstance(value, str) else "it"
    return f"{shown} must be one of {_choices(allowed)}"


def _kind_of(value: Any) -> str:
    names = {bool: "true or false", str: "text", int: "a whole number", float: "a number with a decimal point"}
    return names.get(type(value), "a list" if isinstance(value, list) else "a table")
