"""A configuration as dotted keys and values without secrets: what the ledger records of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_runtime.config.line import LineConfig

HIDDEN = "(hidden)"
_ATTRIBUTION = "change"
_SECRET_KEY = re.compile(r"(password|secret|token|pin|key)$")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"(?<=\?)\S+")


def flat(config: LineConfig) -> dict[str, str]:
    """Every key that is set, as text; `[change]` is left out: it says who changed the rest.

    User names, passwords and queries in addresses (`rtsp://user:password@host/…?token`) are hidden, as is whatever a
    key calls a secret. Files and credentials that hold secrets appear by name.
    """
    content = config.model_dump(mode="json", exclude={_ATTRIBUTION}, exclude_none=True)
    return dict(_leaves("", content))


def _leaves(path: str, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        key = f"{path}{name}"
        if isinstance(inner, dict):
            yield from _leaves(f"{key}.", inner)
        else:
            yield key, HIDDEN if _SECRET_KEY.search(name) else _without_secrets(inner)


def _without_secrets(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if "://" not in value:
        return value
    return _QUERY.sub(HIDDEN, _CREDENTIALS.sub(f"{HIDDEN}@", value))
