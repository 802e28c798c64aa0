from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.domain.recipe import GateMode
from edge_runtime.ops.belt import BeltPlan
from edge_runtime.plc.codes import GateCode
from edge_runtime.plc.gate import FIFO_PARTS, GateReason, GateSummary, SimulatedGate, Takeover

MS = 1_000_000
TRAVEL_MS = 800
BEAT_MS = 600


def _belt(parts: int | None = 10, parts_per_s: float = 10.0, travel_ms: int = TRAVEL_MS) -> BeltPlan:
    """Part n is at the sensor at n·100 ms and at the gate 800 ms later."""
    return BeltPlan(
        seed=1,
        start_ns=0,
        parts_per_s=parts_per_s,
        defect_rate=0.3,
        dropped_trigger_rate=0.0,
        travel_ns=travel_ms * MS,
        ticks_per_s=1_000,
        parts=parts,
    )


def _gate(mode: GateMode = GateMode.PERMIT, belt: BeltPlan | None = None, keep: int | None = None) -> SimulatedGate:
    return SimulatedGate(belt or _belt(), mode=mode, heartbeat_timeout_ns=BEAT_MS * MS, keep=keep)


def test_permitted_part_passes() -> None:
    """A permit for the part and a fresh heartbeat let it through, and nothing else is let through with it."""
    gate = _gate()
    assert gate.result(1, GateCode.PERMIT, 150 * MS) is Takeover.TAKEN
    gate.heartbeat(500 * MS)
    gate.advance(1_000 * MS)
    assert [(record.sequence, record.passed, record.why) for record in gate.log] == [
        (1, True, GateReason.PERMIT),
        (2, False, GateReason.NO_RESULT),
    ]
    assert gate.log[0].in_time
    assert gate.log[0].gate_ns == 900 * MS


def test_dead_daemon_passes_nothing() -> None:
    """Parts that were permitted are rejected once the heartbeat has stood still for too long."""
    gate = _gate()
    gate.heartbeat(250 * MS)
    for part in (1, 2):
        gate.result(part, GateCode.PERMIT, 260 * MS)
    gate.advance(5_000 * MS)
    assert [record.why for record in gate.log[:2]] == [GateReason.STALE_HEARTBEAT, GateReason.STALE_HEARTBEAT]
    assert gate.summary.passed == 0
    assert gate.summary.rejected == 10


def test_heartbeat_is_fresh_up_to_its_timeout() -> None:
    """The last instant at which a heartbeat counts is exactly its timeout before the gate."""
    for beat_ms, passes in ((900 - BEAT_MS, True), (900 - BEAT_MS - 1, False)):
        gate = _gate()
        gate.result(1, GateCode.PERMIT, 150 * MS)
        gate.heartbeat(beat_ms * MS)
        gate.advance(900 * MS)
        assert gate.log[0].passed is passes


def test_late_permit_opens_nothing_and_is_counted() -> None:
    """A result that comes when its part is at the gate or beyond is late: rejected, counted, acknowledged."""
    gate = _gate()
    gate.heartbeat(700 * MS)
    assert gate.result(1, GateCode.PERMIT, 900 * MS) is Takeover.LATE
    assert gate.result(1, GateCode.PERMIT, 950 * MS) is Takeover.REPEATED
    assert gate.summary.late_results == 1
    record = gate.log[0]
    assert (record.why, record.result_ns, record.in_time) == (GateReason.NO_RESULT, 900 * MS, False)


def test_permit_for_a_part_not_yet_seen_is_refused() -> None:
    """A result cannot be stored for a part that has not passed the sensor: it is no result of that part."""
    gate = _gate()
    assert gate.result(3, GateCode.PERMIT, 250 * MS) is Takeover.UNEXPECTED
    gate.heartbeat(1_000 * MS)
    gate.advance(1_100 * MS)
    assert gate.log[-1].sequence == 3
    assert gate.log[-1].why is GateReason.NO_RESULT
    assert gate.result(11, GateCode.PERMIT, 5_000 * MS) is Takeover.UNEXPECTED  # the belt has ten parts
    assert gate.summary.unexpected_results == 2


@pytest.mark.parametrize("order", [(GateCode.REJECT, GateCode.PERMIT), (GateCode.PERMIT, GateCode.REJECT)])
def test_reject_wins_over_permit_in_either_order(order: tuple[GateCode, GateCode]) -> None:
    """Two results that contradict each other reject the part."""
    gate = _gate()
    assert gate.result(1, order[0], 150 * MS) is Takeover.TAKEN
    assert gate.result(1, order[1], 160 * MS) is Takeover.REPEATED
    gate.heartbeat(800 * MS)
    gate.advance(900 * MS)
    assert gate.log[0].why is GateReason.REJECT


def test_full_table_of_parts_is_an_overrun() -> None:
    """More results than the PLC can keep are not acknowledged, and their parts are rejected."""
    belt = _belt(parts=None, parts_per_s=1_000.0, travel_ms=1_000)
    gate = _gate(belt=belt)
    taken = [gate.result(part, GateCode.PERMIT, 900 * MS) for part in range(1, FIFO_PARTS + 3)]
    assert taken.count(Takeover.TAKEN) == FIFO_PARTS
    assert taken[-2:] == [Takeover.OVERRUN, Takeover.OVERRUN]
    assert gate.summary.overruns == 2


@pytest.mark.parametrize(
    ("on_ms", "off_ms", "why"),
    [
        (895, 945, GateReason.EJECTED),
        (870, 885, GateReason.EJECTED),
        (915, 960, GateReason.EJECTED),
        (800, 870, GateReason.NOT_EJECTED),
        (921, 970, GateReason.NOT_EJECTED),
    ],
)
def test_fired_ejector_hits_the_part_in_front_of_it(on_ms: int, off_ms: int, why: GateReason) -> None:
    """In fire mode a part is rejected exactly if the ejector was on while the part was within ±20 ms of it."""
    gate = _gate(GateMode.FIRE)
    gate.ejector(on=True, now_ns=on_ms * MS)
    gate.ejector(on=False, now_ns=off_ms * MS)
    gate.advance(990 * MS)
    assert gate.log[0].why is why
    assert gate.log[0].passed is (why is GateReason.NOT_EJECTED)


def test_fire_mode_is_not_fail_safe() -> None:
    """Without anybody at the ejector every part passes: what the documentation warns of."""
    gate = _gate(GateMode.FIRE)
    gate.advance(10_000 * MS)
    assert gate.summary.passed == 10


def test_ejector_left_on_rejects_everything() -> None:
    """An ejector that nobody switches off keeps rejecting; switching it on again changes nothing."""
    gate = _gate(GateMode.FIRE)
    gate.ejector(on=True, now_ns=0)
    gate.ejector(on=True, now_ns=1_000 * MS)
    gate.advance(10_000 * MS)
    assert gate.summary.rejected == 10


def test_log_is_bounded_and_totals_are_not() -> None:
    """Days of parts keep only the last ones in memory, while every part stays counted."""
    gate = _gate(belt=_belt(parts=5_000, parts_per_s=1_000.0), keep=100)
    gate.advance(3_600_000 * MS)
    assert len(gate.log) == 100
    assert gate.log[-1].sequence == 5_000
    assert gate.summary.rejected == 5_000
    assert sum(gate.reasons.values()) == 5_000


def test_summary_knows_the_truth_about_the_parts() -> None:
    """Totals tell good parts rejected from defective ones passed."""
    gate = _gate(belt=_belt(parts=200, parts_per_s=100.0))
    for part in range(1, 201):
        gate.result(part, GateCode.PERMIT if part % 2 else GateCode.REJECT, (10 * part + 5) * MS)
        gate.heartbeat((10 * part + 5) * MS)
    gate.heartbeat(2_500 * MS)
    gate.advance(10_000 * MS)
    belt_parts = [_belt(parts=200, parts_per_s=100.0).part(part) for part in range(1, 201)]
    defective = {part.sequence for part in belt_parts if part is not None and part.defective}
    assert defective
    assert gate.summary == GateSummary(
        passed=100,
        rejected=100,
        defective_passed=len([part for part in defective if part % 2]),
        good_rejected=len([part for part in range(2, 201, 2) if part not in defective]),
    )


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3_000),
        st.one_of(
            st.just(("beat", 0)),
            st.tuples(st.just("permit"), st.integers(1, 12)),
            st.tuples(st.just("reject"), st.integers(1, 12)),
        ),
    ),
    max_size=60,
).map(lambda events: sorted(events, key=lambda event: event[0]))


@given(EVENTS)
def test_part_passes_only_with_its_own_permit_and_a_live_heartbeat(events: list[tuple[int, tuple[str, int]]]) -> None:
    """Whatever comes in whatever order: a part passes exactly if the rule in the Modbus map says so."""
    gate = _gate()
    for at_ms, (kind, part) in events:
        if kind == "beat":
            gate.heartbeat(at_ms * MS)
        else:
            gate.result(part, GateCode.PERMIT if kind == "permit" else GateCode.REJECT, at_ms * MS)
    gate.advance(10_000 * MS)
    assert len(gate.log) == 10
    for record in gate.log:
        sensor_ms, gate_ms = record.sequence * 100, record.sequence * 100 + TRAVEL_MS
        kinds = [
            kind
            for at, (kind, part) in events
            if part == record.sequence and kind != "beat" and sensor_ms <= at < gate_ms
        ]
        alive = any(kind == "beat" and gate_ms - BEAT_MS <= at < gate_ms for at, (kind, _) in events)
        assert record.passed is (alive and "permit" in kinds and "reject" not in kinds)
