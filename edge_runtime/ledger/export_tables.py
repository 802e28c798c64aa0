"""What the tables of an export hold: a line per record, or a line per look of the models that a line combines.

Columns are read by their names. A new one is put behind the others (`channel` and `hash` stay the last two), and none
is ever renamed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Cell: TypeAlias = "str | int | float | None"
_Place: TypeAlias = "tuple[str, ...]"

_WHICH: Final[dict[str, _Place]] = {
    "sequence": ("sequence",),
    "time": ("time",),
    "time_ns": ("time_ns",),
    "device": ("device",),
    "part_id": ("part_id",),
    "part_sequence": ("part_sequence",),
}
"""Which record, of which part."""
_BUNDLE: Final[dict[str, _Place]] = {
    "bundle_name": ("bundle", "name"),
    "bundle_version": ("bundle", "version"),
    "bundle_digest": ("bundle", "digest"),
    "bundle_trust": ("bundle", "trust"),
}
_SCORE: Final[dict[str, _Place]] = {
    "score": ("score",),
    "review_limit": ("limits", "review"),
    "reject_limit": ("limits", "reject"),
}
"""With the limits that were in force for it."""

_RECORD: Final[dict[str, _Place]] = {
    **_WHICH,
    "frame_sequence": ("frame_sequence",),
    "disposition": ("disposition",),
    "reason": ("reason",),
    **_SCORE,
    **_BUNDLE,
    "latency_ms": ("latency_ms",),
    "camera": ("camera",),
    "recipe": ("recipe",),
    "file_path": ("file", "path"),
    "file_sha256": ("file", "sha256"),
    "evidence": ("evidence",),
    "detail": ("detail",),
    "event_kind": ("kind",),
    "event_severity": ("severity",),
    "event_message": ("message",),
    "event_attributes": ("attributes",),
    "combined_rule": ("combined", "rule"),
    "combined_looks": ("combined", "looks"),
}
"""Column → where its value stands in the message. Verdicts and events share a table; what one lacks is empty."""

_PART: Final[dict[str, _Place]] = {
    **_WHICH,
    "part_disposition": ("disposition",),
    "part_reason": ("reason",),
    "combined_rule": ("combined", "rule"),
}
"""What each look repeats of its part."""
_LOOK: Final[dict[str, _Place]] = {
    **_BUNDLE,
    **_SCORE,
    "disposition": ("disposition",),
    "reason": ("reason",),
    "took_ms": ("took_ms",),
    "detail": ("detail",),
}
NUMBERS: Final = frozenset({"sequence", "time_ns", "part_sequence", "frame_sequence", "look", "decided"})
FRACTIONS: Final = frozenset({"score", "review_limit", "reject_limit", "latency_ms", "took_ms"})


@dataclass(frozen=True, slots=True)
class Table:
    """How messages become lines."""

    columns: tuple[str, ...]
    """Without `channel` and `hash`."""
    lines: Callable[[bytes], Iterator[dict[str, Cell]]]
    """The lines of one message, each with every column; raises ValueError where it is none."""


def _of_record(payload: bytes) -> Iterator[dict[str, Cell]]:
    message = json.loads(payload)
    yield _cells(message, _RECORD)


def _of_looks(payload: bytes) -> Iterator[dict[str, Cell]]:
    message = json.loads(payload)
    combined = message.get("combined") if isinstance(message, dict) else None
    if not isinstance(combined, dict):
        return
    for number, look in enumerate(combined.get("looks", ()), 1):
        decided = {"decided": int(look.get("bundle") == message.get("bundle"))}
        yield {**_cells(message, _PART), "look": number, **decided, **_cells(look, _LOOK)}


def _cells(message: object, places: Mapping[str, _Place]) -> dict[str, Cell]:
    return {column: _cell(message, place) for column, place in places.items()}


def _cell(message: object, place: _Place) -> Cell:
    """Lists and objects are JSON text, as they stand in the message."""
    for key in place:
        message = message.get(key) if isinstance(message, dict) else None
    return message if message is None or isinstance(message, str | int | float) else json.dumps(message)


RECORDS: Final = Table(tuple(_RECORD), _of_record)
"""A line per record."""
LOOKS: Final = Table((*_PART, "look", "decided", *_LOOK), _of_looks)
"""A line per look, of the verdicts of several models alone; `look` counts from 1, in the order in which they looked."""
