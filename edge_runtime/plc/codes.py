"""Numbers and bits of the register map. Stable: a number never changes its meaning within a map version."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from edge_runtime.domain.status import LineReason
from edge_runtime.domain.verdict import Reason


class StatusBit(IntFlag):
    """Device block, word `status`."""

    ONLINE = 1 << 0
    READY = 1 << 1
    BUSY = 1 << 2
    RESULTS_VALID = 1 << 3
    FAULT = 1 << 4
    DEVELOPMENT_TRUST = 1 << 5
    SCORE_VALID = 1 << 6
    DEGRADED = 1 << 7


class ControlBit(IntFlag):
    """PLC block, word `control`."""

    RUNNING = 1 << 0
    RESULTS_BUFFER_OVERRUN = 1 << 1
    PERMIT_MODE = 1 << 2
    HEARTBEAT_LOST = 1 << 3


class OpcDisposition(IntEnum):
    """Verdict in the words of OPC 40001-101. A fault is Undefined, never OK."""

    UNDEFINED = 0
    OK = 1
    NOT_OK = 2
    NOT_DECIDABLE = 3


class GateCode(IntEnum):
    """What the PLC is to do with the part."""

    NONE = 0
    PERMIT = 1
    REJECT = 2


REASON_CODES: dict[Reason, int] = {
    Reason.BELOW_LIMIT: 1,
    Reason.BETWEEN_LIMITS: 2,
    Reason.ABOVE_LIMIT: 3,
    Reason.TRIGGER_LOST: 10,
    Reason.IMAGE_CORRUPT: 12,
    Reason.IMAGE_UNEXPECTED: 13,
    Reason.CAMERA_FROZEN: 14,
    Reason.PRODUCT_UNKNOWN: 15,
    Reason.ENGINE_ERROR: 20,
    Reason.SCORE_INVALID: 21,
    Reason.DEADLINE_MISSED: 30,
    Reason.OVERLOAD: 31,
    Reason.INTERRUPTED: 32,
    Reason.STOPPING: 34,
}
"""Stable: a number is never reused for another reason. 0 is no reason (no result yet)."""

LINE_REASON_CODES: dict[LineReason, int] = {
    LineReason.STAGE_ENDED: 1,
    LineReason.STAGE_HUNG: 2,
    LineReason.ENGINE_HUNG: 3,
    LineReason.ENGINE_FAILING: 4,
    LineReason.CAMERA_LOST: 5,
    LineReason.MODEL_SUSPENDED: 9,
    LineReason.CAMERA_FROZEN: 6,
    LineReason.NOTHING_JUDGED: 7,
    LineReason.EJECTOR_LOST: 8,
    LineReason.REJECT_MISSED: 20,
    LineReason.RECORDS_LOST: 21,
    LineReason.PLC_LOST: 22,
    LineReason.GATE_LATE: 23,
    LineReason.OVERLOAD: 24,
    LineReason.TOO_SLOW: 25,
    LineReason.CAMERA_HALF_FRAMES: 26,
    LineReason.FRAMES_MISSING: 27,
    LineReason.LEDGER_DAMAGED: 30,
    LineReason.LEDGER_FULL: 31,
    LineReason.LEDGER_REFUSING: 32,
    LineReason.LEDGER_SLOW: 33,
    LineReason.STAGE_STALLED: 34,
    LineReason.BROKER_DOWN: 40,
    LineReason.BROKER_REFUSING: 41,
    LineReason.EVIDENCE_FULL: 50,
    LineReason.MEMORY_LOW: 51,
    LineReason.CLOCK_UNSET: 52,
    LineReason.CLOCK_JUMPED: 53,
    LineReason.CONFIG_REFUSED: 54,
    LineReason.RELEASES_UNAVAILABLE: 55,
    LineReason.TRUST_DEVELOPMENT: 100,
    LineReason.UPDATE_REFUSED: 101,
    LineReason.UPDATE_TAKEN: 102,
    LineReason.UPDATE_RUNNING: 103,
    LineReason.MODEL_ON_TRIAL: 104,
}
"""Stable, 1…255: a number is never reused. 0 is no reason; below 20 nothing is judged; 100 and above is a notice."""
