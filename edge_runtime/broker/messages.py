"""What goes over MQTT: four messages, JSON in UTF-8, each with its schema version.

A field is only ever added within one schema version; a subscriber ignores the fields that it does not know.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

from pydantic import BaseModel, Field

from edge_runtime.broker.message_parts import WIRE, BundleField, CombinationField, CombinedField, LimitsField
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.domain.status import LineReason, LineState
from edge_runtime.domain.verdict import Disposition, Reason


class ResultEvaluation(IntEnum):
    """The verdict in the words of OPC 40001-101 (Machine Vision), ResultEvaluationEnum."""

    UNDEFINED = 0
    OK = 1
    NOT_OK = 2
    NOT_DECIDABLE = 3


class Wire(BaseModel):
    """What all messages have in common."""

    model_config = WIRE


class _Message(Wire):
    schema_version: Literal[1] = 1
    """Version of this message's schema."""
    device: str
    """Name of the device, unique in the plant."""
    time: str = Field(json_schema_extra={"format": "date-time"})
    """ISO 8601, UTC, microseconds."""
    time_ns: int = Field(ge=0)
    """The same instant, nanoseconds since 1970. Exceeds 2^53: readers with floating-point numbers use `time`."""


class FileField(Wire):
    """The inspected file, where the source is a folder or a capture."""

    path: str
    """Relative to the watched folder, forward slashes."""
    size_bytes: int = Field(ge=0)
    mtime_ns: int
    sha256: str


class InspectionMessage(_Message):
    """One verdict on one part: `<root>/<device>/inspection`."""

    sequence: int = Field(ge=1)
    """Record sequence: (device, sequence) is unique for ever; a subscriber drops what it has already seen."""
    part_id: str
    part_sequence: int = Field(ge=0)
    """Number of the part in the PLC handshake."""
    frame_sequence: int = Field(ge=0)
    disposition: Disposition
    result_evaluation: ResultEvaluation
    """OPC 40001-101: Undefined 0 (a fault), OK 1, NotOK 2, NotDecidable 3."""
    reason: Reason
    score: float | None
    """Higher is more anomalous, comparable only within one bundle; null where no sound score exists."""
    limits: LimitsField
    bundle: BundleField
    latency_ms: float
    """From the trigger to the decision."""
    camera: str
    recipe: str
    file: FileField | None = None
    evidence: str | None = None
    """Path of the evidence image on the device, relative to its evidence folder."""
    detail: str = ""
    """For faults: what happened."""
    combined: CombinedField | None = None
    """Null on a line with one model. Else `score`, `limits` and `bundle` are those of the model that decided; with rule
    `weighted` score and limits are on the common scale, and the bundle is the one that weighed most."""


class EventMessage(_Message):
    """Something that happened to the line: `<root>/<device>/event`."""

    sequence: int = Field(ge=1)
    """Record sequence, shared with the inspections: (device, sequence) is unique for ever."""
    kind: str
    """Stable snake_case name."""
    severity: Literal["info", "warning", "error"]
    message: str
    """For a person: what happened and what to do."""
    attributes: dict[str, str | int | float | bool | None] = Field(default_factory=dict)


class RolloutSideField(Wire):
    """One of the two models over the parts of the stage."""

    bundle: BundleField
    parts: int = Field(ge=0)
    """Shadow: parts that both have judged. Canary: parts that this one decided."""
    rejected: int = Field(ge=0)
    """Of these, parts that the gate ejects (shadow: would eject)."""
    reject_rate: float | None = Field(ge=0, le=1)
    faults: int = Field(ge=0)
    """Parts that it could not judge."""
    late: int = Field(ge=0)
    """Parts decided after their deadline; 0 for a candidate in the shadow, which has none."""
    p50_ms: float | None
    """Shadow: one inspection. Canary: trigger to decision. To 4 %, rounded up."""
    p99_ms: float | None


class RolloutMessage(_Message):
    """How a candidate does beside the active model: `<root>/<device>/rollout`; `docs/rollout.md` explains it."""

    sequence: int = Field(ge=1)
    """Record sequence, shared with inspections and events: (device, sequence) is unique for ever."""
    stage: RolloutStage
    since: str = Field(json_schema_extra={"format": "date-time"})
    """When the stage began."""
    why: str
    """Why it is this stage: who promoted the candidate and why, or which guardrail stopped it."""
    wanted: int = Field(ge=0)
    """Parts of the candidate that the stage asks for."""
    share: float = Field(ge=0, le=1)
    """Of the parts that the candidate decides."""
    active: RolloutSideField
    candidate: RolloutSideField
    agreement: float | None = Field(ge=0, le=1)
    """Shadow: share of the parts with the same disposition."""
    agreement_at_least: float | None = Field(ge=0, le=1)
    """Its lower bound (Wilson, 99 %)."""
    rate_test: Literal["mcnemar_exact", "fisher_exact"]
    """How the reject rates are compared: on the same parts, or on different ones."""
    rate_p: float | None = Field(ge=0, le=1)
    """Two-sided p that both reject the same share."""
    distance: float | None = Field(ge=0, le=1)
    """Kolmogorov and Smirnov's D of the two score distributions, each in units of its own model's limit."""
    distance_p: float | None = Field(ge=0, le=1)
    skipped: int = Field(ge=0)
    """Shadow: parts that the candidate did not look at, for want of processor time."""
    cpu_share: float | None = Field(ge=0)
    """Shadow: processor cores that it has used on average."""
    waits_for: list[str]
    """What a promotion by rule still waits for."""


class ReleaseField(Wire):
    """Which signed release decides, on a line with a product."""

    product: str
    counter: int = Field(ge=0)
    """Of the release station; 0 while nothing decides."""
    standing: Literal["confirmed", "trial", "suspended"]
    """`trial`: until it is confirmed or rolled back. `suspended`: no model may decide; parts get the fail-safe."""
    trial_parts: int | None = Field(default=None, ge=0)
    """Parts with a sound score that it has judged on trial."""
    standby_loaded: bool
    """Whether the last-known-good release is in memory: a rollback needs no loading."""


class CountersField(Wire):
    """Counts since the start of the daemon."""

    parts: int = Field(default=0, ge=0)
    passed: int = Field(default=0, ge=0)
    review: int = Field(default=0, ge=0)
    rejected: int = Field(default=0, ge=0)
    faults: int = Field(default=0, ge=0)
    """Verdicts without a sound score; they are also counted in their disposition."""
    deadline_missed: int = Field(default=0, ge=0)
    backlog: int = Field(default=0, ge=0)
    """Committed messages that wait for the broker."""
    dropped_frames: int = Field(default=0, ge=0)


class ReasonField(Wire):
    """One reason why the line is not as it should be; `docs/reliability.md` says what each does to the line."""

    name: LineReason
    weight: Literal["notice", "degraded", "fault"]
    """What it does to the state."""
    detail: str
    """For a person."""
    for_s: float = Field(ge=0)
    """How long it has been so."""
    latched: bool
    """Stays until it is acknowledged."""


class LedgerField(Wire):
    """How the record stands."""

    sequence: int = Field(ge=0)
    """The newest committed record."""
    hash: str
    """Its place in the hash chain, hexadecimal. Whoever keeps both holds proof of every record up to it."""
    waiting: int = Field(ge=0)
    """Records that are not committed yet."""
    lost: int = Field(ge=0)
    """Records that could not be kept since the start; each loss is also an event, once the ledger works again."""
    size_mb: float = Field(ge=0)
    reserve_mb: float = Field(ge=0)
    """Room on the disk that is kept for records."""
    set_aside: str | None = None
    """Name of the damaged file in whose place this ledger was begun since the start of the daemon."""


class StatusMessage(_Message):
    """The line's state, retained: `<root>/<device>/status`. The last will is one with state `offline`."""

    state: LineState
    ready: bool
    """True: parts are judged. False: hold the line, or everything is rejected."""
    version: str
    """Version of edge_runtime."""
    detail: str = ""
    """Every reason in one line."""
    reasons: list[ReasonField] = Field(default_factory=list)
    """Worst first."""
    trust: Literal["development", "production"] | None = None
    bundle: BundleField | None = None
    release: ReleaseField | None = None
    """Null on a line that runs a file."""
    limits: LimitsField | None = None
    combination: CombinationField | None = None
    """Null on a line with one model."""
    recipe: str | None = None
    gate_mode: Literal["permit", "fire", "none"] | None = None
    camera: str | None = None
    """Name and health of the camera."""
    engine: str | None = None
    plc: str | None = None
    """Address and health of the PLC link."""
    uptime_s: float | None = Field(default=None, ge=0)
    counters: CountersField | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    rejects_in_time: int | None = Field(default=None, ge=0)
    """Gate commands that the PLC acknowledged, or the ejector carried out, in time."""
    rejects_missed: int | None = Field(default=None, ge=0)
    """Rejects that did not get to the gate in time. With gate mode `permit` the part is rejected all the same."""
    ledger: LedgerField | None = None
