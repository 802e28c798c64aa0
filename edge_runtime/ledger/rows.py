"""From records to table rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_runtime.domain.text import writable

if TYPE_CHECKING:
    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.domain.records import EventRecord, VerdictRecord

INSERT_INSPECTION = (
    "INSERT INTO inspections (sequence, wall_ns, part_id, part_sequence, frame_sequence, disposition, reason, score,"
    " review_limit, reject_limit, bundle_name, bundle_version, bundle_digest, bundle_trust, latency_ns, camera, recipe,"
    " file_path, evidence, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_EVENT = "INSERT INTO events (sequence, wall_ns, kind, severity, message, attributes) VALUES (?, ?, ?, ?, ?, ?)"
INSERT_FILE = (
    "INSERT INTO files (path, size_bytes, mtime_ns, digest, sequence) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET sequence = excluded.sequence"
)


def inspection_row(sequence: int, record: VerdictRecord) -> tuple[object, ...]:
    """Values for `INSERT_INSPECTION`. A NaN score becomes NULL (SQLite knows no NaN)."""
    verdict, bundle = record.verdict, record.verdict.bundle
    return (
        sequence,
        verdict.triggered_wall_ns,
        writable(verdict.part_id),
        verdict.part_sequence,
        verdict.frame_sequence,
        verdict.disposition.value,
        verdict.reason.value,
        verdict.score,
        verdict.limits.review,
        verdict.limits.reject,
        writable(bundle.name),
        writable(bundle.version),
        bundle.digest,
        bundle.trust,
        record.latency_ns,
        writable(record.camera),
        writable(record.recipe),
        None if record.file is None else writable(record.file.path),
        None if record.evidence is None else writable(record.evidence),
        writable(verdict.detail),
    )


def event_row(sequence: int, record: EventRecord) -> tuple[object, ...]:
    """Values for `INSERT_EVENT`."""
    attributes = json.dumps(dict(record.attributes), default=str)
    return sequence, record.wall_ns, record.kind, record.severity, writable(record.message), attributes


def file_key(file: FileIdentity) -> tuple[str, int, int, str]:
    """What makes a file itself, as stored."""
    return writable(file.path), file.size_bytes, file.mtime_ns, file.digest
