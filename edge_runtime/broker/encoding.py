"""From the domain's values to the wire messages: never NaN, never text that JSON cannot carry."""

from __future__ import annotations

import functools
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from edge_runtime.broker.message_parts import BundleField, CombinedField, LimitsField, LookField
from edge_runtime.broker.messages import (
    EventMessage,
    FileField,
    InspectionMessage,
    ResultEvaluation,
    RolloutMessage,
    RolloutSideField,
    StatusMessage,
)
from edge_runtime.domain.records import RolloutRecord, VerdictRecord
from edge_runtime.domain.status import LineState
from edge_runtime.domain.text import writable
from edge_runtime.domain.verdict import Disposition, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.combination import Combined
    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.domain.rollout import SideFigures
    from edge_runtime.domain.verdict import BundleIdentity, Limits

MAX_TEXT_CHARS = 4_000
"""Longer free text is cut: a broker drops the connection over a packet that it finds too large."""


_EVALUATIONS = {
    Disposition.PASS: ResultEvaluation.OK,
    Disposition.REJECT: ResultEvaluation.NOT_OK,
    Disposition.REVIEW: ResultEvaluation.NOT_DECIDABLE,
}


def result_evaluation(disposition: Disposition, reason: Reason) -> ResultEvaluation:
    """The verdict in OPC's words; a fault is Undefined whatever the fail-safe made of it, never OK."""
    if reason.is_fault:
        return ResultEvaluation.UNDEFINED
    return _EVALUATIONS[disposition]


def iso_time(wall_ns: int) -> str:
    """UTC nanoseconds since 1970 as `2026-01-31T12:00:00.123456Z` (truncated, so that it never lies in the future)."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='seconds')}.{rest_ns // 1_000:06d}Z"


def finite(value: float | None) -> float | None:
    """`value`, or None where JSON has no word for it (NaN, infinite)."""
    return value if value is not None and math.isfinite(value) else None


@functools.lru_cache(maxsize=8)
def bundle_field(bundle: BundleIdentity) -> BundleField:
    """The wire form of a bundle's identity."""
    trust: Literal["development", "production"] = "production" if bundle.trust == "production" else "development"
    return BundleField(name=writable(bundle.name), version=writable(bundle.version), digest=bundle.digest, trust=trust)


@functools.lru_cache(maxsize=8)
def limits_field(limits: Limits) -> LimitsField:
    """The wire form of limits."""
    return LimitsField(review=finite(limits.review), reject=finite(limits.reject))


def inspection_message(record: VerdictRecord, sequence: int, device: str) -> InspectionMessage:
    """The message for one committed verdict."""
    verdict = record.verdict
    return InspectionMessage(
        device=device,
        sequence=sequence,
        time=iso_time(verdict.triggered_wall_ns),
        time_ns=verdict.triggered_wall_ns,
        part_id=writable(verdict.part_id),
        part_sequence=verdict.part_sequence,
        frame_sequence=verdict.frame_sequence,
        disposition=verdict.disposition,
        result_evaluation=result_evaluation(verdict.disposition, verdict.reason),
        reason=verdict.reason,
        score=finite(verdict.score),
        limits=limits_field(verdict.limits),
        bundle=bundle_field(verdict.bundle),
        latency_ms=record.latency_ns / 1e6,
        camera=writable(record.camera),
        recipe=writable(record.recipe),
        file=_file_field(record.file),
        evidence=None if record.evidence is None else writable(record.evidence),
        detail=_free_text(verdict.detail),
        combined=_combined_field(verdict.combined),
    )


def event_message(record: EventRecord, sequence: int, device: str) -> EventMessage:
    """The message for one committed event."""
    severity: Literal["info", "warning", "error"] = (
        "info" if record.severity == "info" else "warning" if record.severity == "warning" else "error"
    )
    return EventMessage(
        device=device,
        sequence=sequence,
        time=iso_time(record.wall_ns),
        time_ns=record.wall_ns,
        kind=writable(record.kind),
        severity=severity,
        message=_free_text(record.message),
        attributes={writable(key): _attribute(value) for key, value in record.attributes.items()},
    )


def rollout_message(record: RolloutRecord, sequence: int, device: str) -> RolloutMessage:
    """The message for one committed report of a rollout."""
    report = record.report
    return RolloutMessage(
        device=device,
        sequence=sequence,
        time=iso_time(record.wall_ns),
        time_ns=record.wall_ns,
        stage=report.stage,
        since=iso_time(report.since_ns),
        why=_free_text(report.reason),
        wanted=report.wanted,
        share=report.share,
        active=_rollout_side(report.active),
        candidate=_rollout_side(report.candidate),
        agreement=report.agreement,
        agreement_at_least=report.agreement_at_least,
        rate_test=report.rate_test,
        rate_p=report.rate_p,
        distance=report.distance,
        distance_p=report.distance_p,
        skipped=report.skipped,
        cpu_share=report.cpu_share,
        waits_for=[_free_text(missing) for missing in report.waits_for],
    )


def encode(entry: VerdictRecord | EventRecord | RolloutRecord, sequence: int, device: str) -> bytes:
    """The JSON that the ledger commits and the broker gets, UTF-8, without NaN or infinity."""
    if isinstance(entry, VerdictRecord):
        return inspection_message(entry, sequence, device).model_dump_json().encode()
    if isinstance(entry, RolloutRecord):
        return rollout_message(entry, sequence, device).model_dump_json().encode()
    return event_message(entry, sequence, device).model_dump_json().encode()


def encoder(device: str) -> Callable[[VerdictRecord | EventRecord | RolloutRecord, int], bytes]:
    """`encode` for one device, as the ledger wants it."""
    return functools.partial(encode, device=device)


def offline_status(device: str, version: str, wall_ns: int, detail: str) -> bytes:
    """The retained status of a line that is not there: the last will, and the last word of a clean stop."""
    return status_payload(
        StatusMessage(
            device=device,
            time=iso_time(wall_ns),
            time_ns=wall_ns,
            state=LineState.OFFLINE,
            ready=False,
            version=version,
            detail=_free_text(detail),
        )
    )


def status_payload(status: StatusMessage) -> bytes:
    """The status as published: UTF-8 JSON."""
    return status.model_dump_json().encode()


def _rollout_side(side: SideFigures) -> RolloutSideField:
    return RolloutSideField(
        bundle=bundle_field(side.bundle),
        parts=side.parts,
        rejected=side.rejected,
        reject_rate=side.reject_rate,
        faults=side.faults,
        late=side.late,
        p50_ms=side.p50_ms,
        p99_ms=side.p99_ms,
    )


def _combined_field(combined: Combined | None) -> CombinedField | None:
    if combined is None:
        return None
    looks = [
        LookField(
            bundle=bundle_field(look.bundle),
            limits=limits_field(look.limits),
            score=finite(look.score),
            disposition=look.disposition,
            reason=look.reason,
            took_ms=max(look.took_ns, 0) / 1e6,
            detail=_free_text(look.detail),
        )
        for look in combined.looks
    ]
    return CombinedField(rule=combined.rule, looks=looks)


def _file_field(file: FileIdentity | None) -> FileField | None:
    if file is None:
        return None
    return FileField(path=writable(file.path), size_bytes=file.size_bytes, mtime_ns=file.mtime_ns, sha256=file.digest)


def _free_text(text: str) -> str:
    return writable(text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…")


def _attribute(value: str | float | bool) -> str | int | float | bool | None:  # noqa: FBT001  (a value, not a switch)
    if isinstance(value, str):
        return _free_text(value)
    return finite(value) if isinstance(value, float) else value
