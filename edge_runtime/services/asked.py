"""What a request says of itself, and how many are listened to: for every command that comes over MQTT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_runtime.domain.text import writable

if TYPE_CHECKING:
    from pydantic import ValidationError

    from edge_runtime.broker.port import Request

MOST_REQUESTS: Final = 10
INTERVAL_NS: Final = 60_000_000_000
"""So many requests of a kind are looked at per interval: a flood of them fills neither the ledger nor the line."""
MOST_PROPERTIES: Final = 8
MOST_CHARS: Final = 200

Attributes = dict[str, str | int | float | bool]


def about(request: Request) -> Attributes:
    """Who asked, as far as the request says; none of it is proved."""
    found: Attributes = {
        "response_topic": short(request.response_topic),
        "correlation": request.correlation[:MOST_CHARS].hex(),
    }
    for name, value in request.properties[:MOST_PROPERTIES]:
        found[f"property {short(name)}"] = short(value)
    return found


def short(text: str) -> str:
    """Cut to what a record has room for."""
    return writable(text[:MOST_CHARS])


def first_mistake(error: ValidationError) -> str:
    """Where the request is not what docs/mqtt says."""
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]
