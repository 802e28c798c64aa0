"""Looking at a line: every reason that holds at this moment. Called by the supervisor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edge_runtime.camera.port import CameraState
from edge_runtime.decision.clock_watch import ClockWatch, is_unset
from edge_runtime.decision.lifecycle import Observed
from edge_runtime.domain.errors import LedgerDamagedError, LedgerFullError
from edge_runtime.domain.recipe import GateMode
from edge_runtime.domain.status import LineReason
from edge_runtime.domain.verdict import Reason
from edge_runtime.services.recent import IMAGE_FAULTS, IN_A_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from edge_runtime.broker.port import Broker
    from edge_runtime.camera.port import Camera
    from edge_runtime.ops.clock import Clock
    from edge_runtime.ops.memory import Memory
    from edge_runtime.services.activation import ActivationStage
    from edge_runtime.services.evidence import EvidenceStage
    from edge_runtime.services.flow import EventSink, RecipeCell
    from edge_runtime.services.model_swap import Models
    from edge_runtime.services.monitor import LineMonitor
    from edge_runtime.services.plc_link import PlcLink
    from edge_runtime.services.publish import PublishStage
    from edge_runtime.services.record import RecordStage
    from edge_runtime.services.vitals import Vitals

    Found: TypeAlias = Iterator[tuple[LineReason, str]]

LEDGER_BEHIND = 256
"""So many verdicts that wait for the disk are more than one commit takes."""
MEMORY_LOOK_NS = 1_000_000_000


class Probe(Protocol):
    """Looks at one part of the line. Never raises, never waits."""

    def __call__(self, now_ns: int, /) -> Found:
        """What is wrong there now."""


class Conditions:
    """All probes of a line."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = tuple(probes)

    def observe(self, now_ns: int) -> Observed:
        """Look everywhere."""
        return Observed(now_ns, {reason: detail for probe in self._probes for reason, detail in probe(now_ns)})


@dataclass(frozen=True, slots=True)
class StageProbe:
    """Do the stages live and make progress?"""

    vitals: Vitals

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        if (dead := self.vitals.dead_stage()) is not None:
            yield LineReason.STAGE_ENDED, f"stage {dead} has ended"
        if (hung := self.vitals.hung_stage()) is not None:
            reason = LineReason.ENGINE_HUNG if hung == "inspect" else LineReason.STAGE_HUNG
            yield reason, f"stage {hung} hangs"
        for name in self.vitals.stalled_stages():
            reason = LineReason.LEDGER_SLOW if name == "record" else LineReason.STAGE_STALLED
            yield reason, f"stage {name} hangs"


@dataclass(frozen=True, slots=True)
class CameraProbe:
    """Does the camera deliver?"""

    camera: Camera

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        status = self.camera.status()
        detail = status.detail or str(status.state)
        if status.state is CameraState.LOST:
            yield LineReason.CAMERA_LOST, detail
        if status.state is CameraState.FROZEN:
            yield LineReason.CAMERA_FROZEN, detail


@dataclass(frozen=True, slots=True)
class EngineProbe:
    """Does the engine judge?"""

    models: Models

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        if (why := self.models.failing) is not None:
            yield LineReason.MODEL_SUSPENDED if self.models.is_suspended else LineReason.ENGINE_FAILING, why


@dataclass(frozen=True, slots=True)
class ActivationProbe:
    """Is the right release deciding, and can the store be asked?"""

    activation: ActivationStage

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        if self.activation.failing is not None:
            yield LineReason.RELEASES_UNAVAILABLE, self.activation.failing
        if (trial := self.activation.trials.current) is not None:
            release = trial.release
            yield LineReason.MODEL_ON_TRIAL, f"{release.name} {release.version}: {trial.tally.looked} parts judged"


@dataclass(frozen=True, slots=True)
class VerdictProbe:
    """What the last parts got instead of a sound verdict."""

    monitor: LineMonitor

    def __call__(self, now_ns: int) -> Found:
        """See `Probe`."""
        recent = self.monitor.recent
        if recent.judges_nothing(now_ns):
            yield LineReason.NOTHING_JUDGED, f"the last {IN_A_ROW} parts got no sound score"
        if recent.is_frequent({Reason.OVERLOAD}, now_ns):
            yield LineReason.OVERLOAD, "parts come faster than this device inspects"
        if recent.is_frequent({Reason.DEADLINE_MISSED}, now_ns):
            yield LineReason.TOO_SLOW, "inspections end after the deadline"
        if recent.is_frequent(IMAGE_FAULTS, now_ns):
            yield LineReason.CAMERA_HALF_FRAMES, "images come cut, corrupt or in another size"
        if recent.is_frequent({Reason.TRIGGER_LOST}, now_ns):
            yield LineReason.FRAMES_MISSING, "parts that the PLC counted brought no frame"


@dataclass(slots=True)
class GateProbe:
    """Is the gate told in time?"""

    link: PlcLink
    mode: GateMode
    monitor: LineMonitor
    _missed: int = 0
    _late: int = 0

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        fire = self.mode is GateMode.FIRE
        if self.link.failing is not None:
            yield LineReason.EJECTOR_LOST if fire else LineReason.PLC_LOST, self.link.failing
        gate = self.monitor.gate
        missed, late = gate.rejects_missed, gate.passes_lost
        if fire and missed > self._missed:
            yield LineReason.REJECT_MISSED, f"{missed} reject(s) not carried out in time since the start"
        elif not fire and (missed > self._missed or late > self._late):
            yield LineReason.GATE_LATE, f"{missed + late} result(s) not acknowledged in time since the start"
        self._missed, self._late = missed, late


@dataclass(slots=True)
class LedgerProbe:
    """Are verdicts written down?"""

    record: RecordStage
    _lost: int = 0

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        failure = self.record.failure
        if isinstance(failure, LedgerFullError):
            yield LineReason.LEDGER_FULL, failure.what
        elif isinstance(failure, LedgerDamagedError):
            yield LineReason.LEDGER_DAMAGED, failure.what
        elif failure is not None:
            yield LineReason.LEDGER_REFUSING, failure.what
        elif (lost := self.record.housekeeping.room.lost) is not None:
            yield LineReason.LEDGER_DAMAGED, lost
        elif (waiting := self.record.waiting) > LEDGER_BEHIND:
            yield LineReason.LEDGER_SLOW, f"{waiting} records wait for the disk"
        lost_records = self.record.lost_in_all
        if lost_records > self._lost:
            yield LineReason.RECORDS_LOST, f"{lost_records} record(s) lost since the start"
        self._lost = lost_records


@dataclass(frozen=True, slots=True)
class BrokerProbe:
    """Is the broker there, and does it take what it is given?"""

    broker: Broker
    publish: PublishStage

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        status = self.broker.status()
        if not status.connected:
            yield LineReason.BROKER_DOWN, status.detail
        if self.publish.refusal is not None:
            yield LineReason.BROKER_REFUSING, self.publish.refusal
        elif count := self.publish.set_apart:
            yield LineReason.BROKER_REFUSING, f"{count} record(s) refused while others are taken"


@dataclass(frozen=True, slots=True)
class EvidenceProbe:
    """Are evidence images kept?"""

    evidence: EvidenceStage

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        if self.evidence.failing is not None:
            yield LineReason.EVIDENCE_FULL, self.evidence.failing


@dataclass(slots=True)
class MemoryProbe:
    """Is there memory left?"""

    memory: Memory
    reserve_bytes: int | None
    """Less than this is low; None: a share of what there is."""
    _at_ns: int = 0
    _found: str | None = None

    def __call__(self, now_ns: int) -> Found:
        """See `Probe`."""
        if now_ns >= self._at_ns:
            self._at_ns = now_ns + MEMORY_LOOK_NS
            self._found = self._look()
        if self._found is not None:
            yield LineReason.MEMORY_LOW, self._found

    def _look(self) -> str | None:
        figure = self.memory.look()
        if figure is None:
            return None
        reserve_bytes = figure.reserve_bytes if self.reserve_bytes is None else self.reserve_bytes
        if figure.available_bytes >= reserve_bytes:
            return None
        return f"{figure.available_bytes // 1_000_000} MB of {figure.total_bytes // 1_000_000} MB left ({figure.of})"


@dataclass(slots=True)
class ClockProbe:
    """Does the wall clock tell the time? Nothing but records and certificates depends on it."""

    clock: Clock
    events: EventSink
    _watch: ClockWatch = field(default_factory=ClockWatch)

    def __call__(self, now_ns: int) -> Found:
        """See `Probe`."""
        wall_ns = self.clock.wall_ns()
        jump_ns = self._watch.jumped_ns(now_ns, wall_ns)
        if jump_ns:
            text = f"the wall clock was set by {jump_ns / 1e9:+.0f} s"
            self.events("clock_jumped", "warning", text)
            yield LineReason.CLOCK_JUMPED, text
        if is_unset(wall_ns):
            yield LineReason.CLOCK_UNSET, "the wall clock was never set"


@dataclass(frozen=True, slots=True)
class TrustProbe:
    """Is the model signed for production?"""

    in_force: RecipeCell

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        if self.in_force.bundle.trust != "production":
            yield LineReason.TRUST_DEVELOPMENT, "the running model is not signed for production"


@dataclass(slots=True)
class ConfigProbe:
    """Was the last configuration that was to be loaded sound?"""

    refused: str | None = None
    """Why not; set by whoever loads it."""

    def __call__(self, _now_ns: int) -> Found:
        """See `Probe`."""
        if self.refused is not None:
            yield LineReason.CONFIG_REFUSED, self.refused
