"""Records for tests of the ledger and the broker."""

from __future__ import annotations

from makers import BUNDLE

from edge_runtime.broker.encoding import encode
from edge_runtime.domain.frame import FileIdentity
from edge_runtime.domain.records import Channel, EventRecord, OutboxRow, VerdictRecord
from edge_runtime.domain.verdict import Disposition, Limits, Reason, Verdict

WALL_NS = 1_700_000_000_123_456_789
DEVICE = "line-1"


def file_identity(number: int, path: str | None = None) -> FileIdentity:
    """A watched file."""
    return FileIdentity(path or f"shift/part-{number}.png", 1_000 + number, WALL_NS + number, f"{number:064x}")


def verdict_record(
    number: int = 1,
    *,
    part_sequence: int | None = None,
    score: float | None = 0.5,
    disposition: Disposition = Disposition.PASS,
    reason: Reason = Reason.BELOW_LIMIT,
    part_id: str | None = None,
    detail: str = "",
    file: FileIdentity | None = None,
) -> VerdictRecord:
    """A verdict on part `number`."""
    verdict = Verdict(
        part_id=part_id if part_id is not None else f"part-{number}",
        part_sequence=number if part_sequence is None else part_sequence,
        frame_sequence=number,
        disposition=disposition,
        reason=reason,
        score=score,
        limits=Limits(1.0, 2.0),
        bundle=BUNDLE,
        triggered_ns=number,
        decided_ns=number + 5_000_000,
        triggered_wall_ns=WALL_NS + number,
        detail=detail,
    )
    return VerdictRecord(verdict, 5_000_000, "camera", "test", file)


def event_record(number: int = 1, **attributes: str | float | bool) -> EventRecord:
    """An event."""
    return EventRecord("camera_lost", "warning", f"event {number}", WALL_NS + number, attributes)


def outbox_row(sequence: int, device: str = DEVICE) -> OutboxRow:
    """A committed verdict as the publish stage gets it."""
    return OutboxRow(sequence, Channel.INSPECTION, encode(verdict_record(sequence), sequence, device))
