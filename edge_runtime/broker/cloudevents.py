"""CloudEvents 1.0 attributes of a message, for MQTT 5 user properties (binary content mode)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.domain.records import OutboxRow

TYPE_PREFIX = "edge_runtime"
SCHEMA = "v1"


def attributes(row: OutboxRow, root: str, device: str) -> list[tuple[str, str]]:
    """The attributes of one outbox row; `id` is unique within `source`, as CloudEvents demands.

    Two are our own: `recordhash`, the record's place in the ledger's chain, and `replay` on what was asked for again.
    """
    found = [
        ("specversion", "1.0"),
        ("id", f"{device}/{row.sequence}"),
        ("source", f"/{root}/{device}"),
        ("type", f"{TYPE_PREFIX}.{row.channel.value}.{SCHEMA}"),
    ]
    time = json.loads(row.payload).get("time")
    if isinstance(time, str):
        found.append(("time", time))
    if row.hash:
        found.append(("recordhash", row.hash.hex()))
    if row.is_replay:
        found.append(("replay", "true"))
    return found


def status_attributes(payload: bytes, root: str, device: str) -> list[tuple[str, str]]:
    """The attributes of a status. Its `id` is the state's own instant."""
    time = str(json.loads(payload).get("time", ""))
    return [
        ("specversion", "1.0"),
        ("id", f"{device}/status/{time}"),
        ("source", f"/{root}/{device}"),
        ("type", f"{TYPE_PREFIX}.status.{SCHEMA}"),
        ("time", time),
    ]
