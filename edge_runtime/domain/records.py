"""What is written down: one record per verdict, one event per thing that happened to the line."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.domain.rollout import RolloutReport
    from edge_runtime.domain.verdict import Verdict


class Channel(StrEnum):
    """Last level of the MQTT topic a record goes to."""

    INSPECTION = "inspection"
    EVENT = "event"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """A verdict on its way into the ledger."""

    verdict: Verdict
    latency_ns: int
    """Trigger to decision."""
    camera: str
    recipe: str
    file: FileIdentity | None = None
    evidence: str | None = None
    """Path of the evidence image relative to the evidence folder; decided before it is written."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened to the line rather than to a part."""

    kind: str
    """Stable snake_case name: `camera_lost`, `deadline_missed`, `limits_reloaded`, …"""
    severity: str
    """"info", "warning" or "error"."""
    message: str
    """For a person: what happened and what to do."""
    wall_ns: int
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the ledger remembers with this record, to compare with at the next start; not published."""


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """How a rollout stood at one moment."""

    report: RolloutReport
    wall_ns: int


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A committed message that waits for its PUBACK."""

    sequence: int
    """Record sequence of this device: monotonic over all channels, never reused, first is 1."""
    channel: Channel
    payload: bytes
    """The JSON exactly as it is published, UTF-8."""
    hash: bytes = b""
    """Its place in the ledger's chain (SHA-256, see docs/ledger.md); empty before there was a chain."""
    is_replay: bool = False
    """Sent once more because somebody asked for it."""


class Outbox(Protocol):
    """What the publisher sees of the ledger. Safe to use from one thread besides the recorder."""

    def unsent(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """Committed rows with sequence > `after` that have no PUBACK yet, ascending."""

    def mark_sent(self, sequences: Sequence[int]) -> None:
        """Their PUBACK came with a reason code below 0x80. Rows are retained for replay."""

    def set_apart(self, sequences: Sequence[int]) -> None:
        """The broker takes others and refuses these: nothing waits for them any more, and `apart` gives them."""

    def apart(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """Rows with sequence > `after` that were set apart and are not marked yet, ascending."""

    def newest(self) -> int:
        """Number of the newest committed row. Costs nothing."""

    def delivered_upto(self) -> int:
        """Every row up to this one is marked or set apart; 0 or where numbering begins before the first."""

    def rows(self, first: int, last: int, limit: int) -> Sequence[OutboxRow]:
        """At most `limit` committed rows from `first` to `last`, sent or not, ascending."""

    def backlog(self) -> int:
        """How many committed rows wait."""


class SeenFiles(Protocol):
    """What a folder source asks the ledger, so that no file is inspected twice across restarts."""

    def is_seen(self, file: FileIdentity) -> bool:
        """True if a verdict on exactly this file (path, size, mtime, digest) is committed. Thread-safe."""
