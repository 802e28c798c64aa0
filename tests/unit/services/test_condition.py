from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from makers import BUNDLE, MS, make_part, make_recipe

from edge_runtime.broker.port import BrokerStatus
from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.decision.judge import fault_verdict
from edge_runtime.domain.errors import LedgerDamagedError, LedgerError, LedgerFullError
from edge_runtime.domain.recipe import GateMode
from edge_runtime.domain.status import LineReason
from edge_runtime.domain.verdict import Disposition, Reason, Verdict
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.ops.memory import MemoryFigure
from edge_runtime.services.condition import (
    BrokerProbe,
    CameraProbe,
    ClockProbe,
    Conditions,
    ConfigProbe,
    EngineProbe,
    EvidenceProbe,
    GateProbe,
    LedgerProbe,
    MemoryProbe,
    Probe,
    StageProbe,
    TrustProbe,
    VerdictProbe,
)
from edge_runtime.services.flow import RecipeCell
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.recent import WINDOW_NS

S = 1_000_000_000


def seen(probe: Probe, now_ns: int = 0) -> dict[LineReason, str]:
    """What one probe finds."""
    return dict(Conditions([probe]).observe(now_ns).seen)


def verdict(reason: Reason, decided_ns: int) -> Verdict:
    """A verdict of the fail-safe, or a sound one."""
    part = make_part(1, decided_ns)
    made = fault_verdict(part, make_recipe(), reason, "", SimpleNamespace(), decided_ns)
    assert made.disposition is Disposition.REJECT
    return made


@pytest.mark.parametrize(
    ("vitals", "expected"),
    [
        ((None, None, []), set()),
        (("capture", None, []), {LineReason.STAGE_ENDED}),
        ((None, "capture", []), {LineReason.STAGE_HUNG}),
        ((None, "inspect", []), {LineReason.ENGINE_HUNG}),
        ((None, None, ["record", "publish"]), {LineReason.LEDGER_SLOW, LineReason.STAGE_STALLED}),
    ],
)
def test_a_stage_is_named_by_what_its_silence_means(vitals, expected) -> None:
    """A hung inspection is the engine's; a record stage that stands still is a slow disk."""
    dead, hung, stalled = vitals
    probe = StageProbe(
        SimpleNamespace(dead_stage=lambda: dead, hung_stage=lambda: hung, stalled_stages=lambda: stalled)
    )
    assert set(seen(probe)) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (CameraState.CONNECTED, {}),
        (CameraState.EXHAUSTED, {}),
        (CameraState.LOST, {LineReason.CAMERA_LOST: "no cable"}),
        (CameraState.FROZEN, {LineReason.CAMERA_FROZEN: "no cable"}),
    ],
)
def test_a_camera_that_has_delivered_everything_is_well(state, expected) -> None:
    """Lost and frozen are not."""
    assert seen(CameraProbe(SimpleNamespace(status=lambda: CameraStatus(state, "no cable", 0, 0)))) == expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (LedgerFullError("full", ""), LineReason.LEDGER_FULL),
        (LedgerDamagedError("torn", ""), LineReason.LEDGER_DAMAGED),
        (LedgerError("read-only", ""), LineReason.LEDGER_REFUSING),
    ],
)
def test_what_keeps_the_ledger_from_writing_is_told_apart(failure, expected) -> None:
    """Each is mended in another way."""
    record = SimpleNamespace(failure=failure, waiting=9_999, lost_in_all=0)
    assert seen(LedgerProbe(record)) == {expected: failure.what}


def test_records_that_wait_are_slow_and_records_that_are_gone_are_lost_once() -> None:
    """Loss is told at the look that finds it; the latch keeps it."""
    in_place = SimpleNamespace(room=SimpleNamespace(lost=None))
    record = SimpleNamespace(failure=None, waiting=300, lost_in_all=0, housekeeping=in_place)
    probe = LedgerProbe(record)
    assert set(seen(probe)) == {LineReason.LEDGER_SLOW}
    record.waiting, record.lost_in_all = 0, 2
    assert set(seen(probe)) == {LineReason.RECORDS_LOST}
    assert seen(probe) == {}
    record.lost_in_all += 1
    assert set(seen(probe)) == {LineReason.RECORDS_LOST}


def test_a_broker_may_be_away_or_refuse() -> None:
    """The detail is the broker's own."""
    publish = SimpleNamespace(refusal=None, set_apart=0)
    status = BrokerStatus(connected=False, detail="nothing listens", connects=0)
    assert seen(BrokerProbe(SimpleNamespace(status=lambda: status), publish)) == {
        LineReason.BROKER_DOWN: "nothing listens"
    }
    there = BrokerStatus(connected=True, detail="here", connects=1)
    publish.refusal = "not authorized"
    assert seen(BrokerProbe(SimpleNamespace(status=lambda: there), publish)) == {
        LineReason.BROKER_REFUSING: "not authorized"
    }


def test_a_gate_that_cannot_be_reached_is_a_fault_only_where_bad_parts_would_pass() -> None:
    """Without permits everything is rejected; without an ejector nothing is."""
    link = SimpleNamespace(failing="no answer")
    for mode, lost, missed in (
        (GateMode.PERMIT, LineReason.PLC_LOST, LineReason.GATE_LATE),
        (GateMode.FIRE, LineReason.EJECTOR_LOST, LineReason.REJECT_MISSED),
    ):
        monitor = LineMonitor()
        probe = GateProbe(link, mode, monitor)
        assert seen(probe) == {lost: "no answer"}
        monitor.gate.rejects_missed += 1
        assert set(seen(probe)) == {lost, missed}
        assert seen(probe) == {lost: "no answer"}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.OVERLOAD, LineReason.OVERLOAD),
        (Reason.DEADLINE_MISSED, LineReason.TOO_SLOW),
        (Reason.IMAGE_CORRUPT, LineReason.CAMERA_HALF_FRAMES),
        (Reason.IMAGE_UNEXPECTED, LineReason.CAMERA_HALF_FRAMES),
        (Reason.TRIGGER_LOST, LineReason.FRAMES_MISSING),
    ],
)
def test_three_faults_of_a_kind_within_ten_seconds_are_a_reason(reason, expected) -> None:
    """One is a mishap; and ten seconds later it is history."""
    monitor = LineMonitor()
    for second in range(2):
        monitor.observe(verdict(reason, second * S))
    assert seen(VerdictProbe(monitor), 2 * S) == {}
    monitor.observe(verdict(reason, 2 * S))
    assert set(seen(VerdictProbe(monitor), 2 * S)) == {expected}
    assert seen(VerdictProbe(monitor), 2 * S + WINDOW_NS + 1) == {}


def test_five_parts_in_a_row_without_a_sound_score_are_a_fault_until_one_is_sound() -> None:
    """Whatever the causes; and a line that the PLC holds gets another try."""
    monitor = LineMonitor()
    probe = VerdictProbe(monitor)
    mixed = [Reason.OVERLOAD, Reason.IMAGE_CORRUPT, Reason.ENGINE_ERROR, Reason.CAMERA_FROZEN, Reason.SCORE_INVALID]
    for number, reason in enumerate(mixed):
        assert LineReason.NOTHING_JUDGED not in seen(probe, number)
        monitor.observe(verdict(reason, number))
    assert LineReason.NOTHING_JUDGED in seen(probe, 5)
    assert seen(probe, WINDOW_NS + 6) == {}
    sound = SimpleNamespace(reason=Reason.BELOW_LIMIT)
    monitor.recent.add(sound)
    assert seen(probe, 6) == {}


def test_memory_is_looked_at_once_per_second_and_compared_with_the_reserve() -> None:
    """The detail says whose memory it is."""
    figures = [MemoryFigure(63_000_000, 500_000_000, "control group /edge"), MemoryFigure(65_000_000, 500_000_000, "")]
    probe = MemoryProbe(SimpleNamespace(look=lambda: figures.pop(0)), None)
    low = {LineReason.MEMORY_LOW: "63 MB of 500 MB left (control group /edge)"}
    assert seen(probe, 1) == low
    assert seen(probe, S // 2) == low
    assert seen(probe, 2 * S) == {}
    assert seen(MemoryProbe(SimpleNamespace(look=lambda: None), 10**12)) == {}
    assert LineReason.MEMORY_LOW in seen(MemoryProbe(SimpleNamespace(look=lambda: MemoryFigure(9, 9, "")), 10))


def test_a_clock_that_is_set_is_told_with_an_event_and_one_that_never_was_is_told_until_it_is() -> None:
    """A year ahead, and a board without battery."""
    clock, events = SimulatedClock(start_wall_ns=0), []
    probe = ClockProbe(clock, lambda *event: events.append(event))
    assert set(seen(probe, clock.monotonic_ns())) == {LineReason.CLOCK_UNSET}
    clock.advance(500 * MS)
    clock.set_wall(1_790_000_000 * S)
    assert set(seen(probe, clock.monotonic_ns())) == {LineReason.CLOCK_JUMPED}
    clock.advance(500 * MS)
    assert seen(probe, clock.monotonic_ns()) == {}
    assert [(kind, severity) for kind, severity, _ in events] == [("clock_jumped", "warning")]
    assert "+1790000000 s" in events[0][2]


def in_force(trust: str) -> RecipeCell:
    """A bundle with this trust decides."""
    return RecipeCell(make_recipe(), replace(BUNDLE, trust=trust))


def models(failing: str | None, *, is_stand_in: bool = False) -> SimpleNamespace:
    """Who decides, and why nothing can be judged."""
    return SimpleNamespace(failing=failing, is_suspended=is_stand_in)


def test_the_other_probes_say_what_they_are_told() -> None:
    """Engine, evidence, trust and configuration."""
    assert seen(EngineProbe(models("gone"))) == {LineReason.ENGINE_FAILING: "gone"}
    assert seen(EngineProbe(models("none may", is_stand_in=True))) == {LineReason.MODEL_SUSPENDED: "none may"}
    assert seen(EvidenceProbe(SimpleNamespace(failing="no room"))) == {LineReason.EVIDENCE_FULL: "no room"}
    assert set(seen(TrustProbe(in_force("development")))) == {LineReason.TRUST_DEVELOPMENT}
    assert seen(ConfigProbe("line 3")) == {LineReason.CONFIG_REFUSED: "line 3"}
    for quiet in (EngineProbe(models(None)), TrustProbe(in_force("production")), ConfigProbe()):
        assert seen(quiet) == {}
