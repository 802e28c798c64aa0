"""The nearest known key: what a wrong key was probably meant to be."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

_SIMILAR = 0.6
_ABBREVIATION = 3


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, ignoring case and `-` for `_`; None if nothing is similar."""
    by_plain = {plain(candidate): candidate for candidate in known}
    wanted = plain(name)
    found = difflib.get_close_matches(wanted, by_plain, n=1, cutoff=_SIMILAR)
    if not found and len(wanted) >= _ABBREVIATION:
        found = [candidate for candidate in by_plain if candidate.startswith(wanted)]
    return by_plain[found[0]] if found else None


def plain(name: str) -> str:
    """What two spellings of one name have in common."""
    return name.lower().replace("-", "_")


def variants(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """The settings models a field may hold: by discriminator value, or under "" where there is only one."""
    models = [
        candidate
        for candidate in (field.annotation, *get_args(field.annotation))
        if isinstance(candidate, type) and issubclass(candidate, BaseModel)
    ]
    if isinstance(field.discriminator, str):
        tag = field.discriminator
        return {str(get_args(model.model_fields[tag].annotation)[0]): model for model in models}
    return {"": models[0]} if models else {}


def tables(root: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of the configuration with its dotted name; a table with variants comes once for each."""
    for name, field in root.model_fields.items():
        for model in variants(field).values():
            dotted = f"{prefix}{name}"
            yield dotted, model
            yield from tables(model, f"{dotted}.")


def explain_unknown(root: type[BaseModel], table: str, model: type[BaseModel], key: str) -> str:
    """What to say about `key`, which `model` (the table `table`, "" for the root) does not know."""
    everywhere = list(tables(root))
    if (near := nearest(key, model.model_fields)) is not None and plain(near) == plain(key):
        return f"unknown key; did you mean `{near}`?"
    siblings = [other for name, other in everywhere if name == table and key in other.model_fields]
    if siblings:
        kinds = ", ".join(f'"{get_args(other.model_fields["kind"].annotation)[0]}"' for other in siblings)
        return f"this key belongs to {table}.kind = {kinds}"
    homes = list(dict.fromkeys(name for name, other in everywhere if key in other.model_fields))
    if near is not None and not homes:
        return f"unknown key; did you mean `{near}`?"
    if homes:
        alternative = f", or `{near}` here" if near is not None else ""
        return f"unknown key here; did you mean it in table {' or '.join(f'[{home}]' for home in homes)}{alternative}?"
    last_names = {name.rsplit(".", 1)[-1]: name for name, _ in everywhere}
    if (similar := nearest(key, last_names)) is not None:
        return f"unknown key; did you mean table [{last_names[similar]}]?"
    return f"unknown key; known here: {', '.join(model.model_fields)}"
