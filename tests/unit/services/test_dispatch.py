from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from makers import BUNDLE, MS, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.flow import Begun, Judged, LoadShed, Opened, RecipeCell, Waived
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.queues import BoundedQueue


class Bench:
    """A dispatch stage with its queues, stepped by hand."""

    def __init__(self, evidence_capacity: int = 4) -> None:
        self.clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
        self.recipe = RecipeCell(make_recipe(), BUNDLE)
        self.inbox = BoundedQueue("dispatch", 1_000)
        self.commands = BoundedQueue("commands", 1_000)
        self.records = BoundedQueue("records", 1_000)
        self.evidence = BoundedQueue("evidence", evidence_capacity)
        self.monitor = LineMonitor()
        self.shed = LoadShed()
        self.held_by: str | None = None
        self.held: tuple[str, int] | None = None
        self.stage = DispatchStage(
            self.recipe,
            "camera",
            self.inbox,
            self.commands,
            self.records,
            self.evidence,
            self.monitor,
            self.clock,
            self.shed,
            SimpleNamespace(overdue=lambda: self.held_by, held=lambda _: self.held),
        )

    def open(self, number: int):
        """Announce a part triggered now."""
        part = make_part(number, self.clock.monotonic_ns())
        self.inbox.offer(Opened(part))
        self.stage.step()
        return part

    def begin(self, part) -> None:
        """Its inspection begins."""
        self.inbox.offer(Begun(part))
        self.stage.step()

    def pass_by(self, milliseconds: int) -> None:
        """Time goes by and the stage looks at its deadlines."""
        self.clock.advance(milliseconds * MS)
        self.stage.step()

    def propose(self, part, score: float) -> None:
        """Offer a verdict for a part."""
        verdict = judge(make_inspection(score), part, self.recipe.current, self.clock.monotonic_ns())
        self.inbox.offer(Judged(part, verdict))
        self.stage.step()

    def verdicts(self):
        """What was recorded so far."""
        found = []
        while (item := self.records.get(0)) is not None:
            assert isinstance(item.record, VerdictRecord)
            found.append(item.record.verdict)
        return found


@pytest.fixture
def bench() -> Bench:
    """A fresh stage."""
    return Bench()


def test_a_judged_part_goes_to_the_gate_and_to_the_ledger_once(bench) -> None:
    """One verdict, one gate command, one record."""
    bench.propose(bench.open(1), 5.0)
    assert [v.disposition for v in bench.verdicts()] == [Disposition.REJECT]
    assert bench.commands.get(0).action is GateAction.EJECT
    assert bench.commands.get(0) is None
    assert bench.stage.idle


def test_a_part_whose_inspection_does_not_end_is_rejected_at_its_deadline(bench) -> None:
    """A hung inspection does not hold up the gate."""
    bench.begin(bench.open(1))
    bench.pass_by(101)
    (verdict,) = bench.verdicts()
    assert (verdict.disposition, verdict.reason) == (Disposition.REJECT, Reason.DEADLINE_MISSED)


def test_a_part_whose_turn_did_not_come_is_an_overload_and_no_timeout(bench) -> None:
    """Too many parts and too slow an inspection are mended differently."""
    bench.open(1)
    bench.pass_by(101)
    (verdict,) = bench.verdicts()
    assert (verdict.disposition, verdict.reason) == (Disposition.REJECT, Reason.OVERLOAD)


def test_a_verdict_that_came_in_time_counts_though_the_arbiter_looks_late(bench) -> None:
    """All that has come is handled before any part is given up, however much of it came quietly."""
    part = make_part(1, bench.clock.monotonic_ns())
    verdict = judge(make_inspection(0.5), part, bench.recipe.current, bench.clock.monotonic_ns())
    for item in (Opened(part), Begun(part)):
        bench.inbox.put(item, 0, quietly=True)
    bench.inbox.offer(Judged(part, verdict))
    bench.pass_by(101)
    assert bench.verdicts() == [verdict]
    assert bench.monitor.late_results == 0


def test_a_part_that_is_given_up_gets_its_verdict_at_once_and_only_once(bench) -> None:
    """Overload is said when it is known, not at the deadline."""
    part = bench.open(1)
    for _ in range(2):
        bench.inbox.offer(Waived(part))
        bench.stage.step()
    (verdict,) = bench.verdicts()
    assert (verdict.disposition, verdict.reason) == (Disposition.REJECT, Reason.OVERLOAD)
    assert bench.monitor.late_results == 0


def test_behind_an_inspection_that_hangs_nothing_is_an_overload(bench) -> None:
    """Whoever reads the records must look at the engine, not at the belt."""
    bench.begin(bench.open(1))
    waiting, waived = bench.open(2), bench.open(3)
    bench.pass_by(101)
    bench.inbox.offer(Waived(waived))
    bench.stage.step()
    verdicts = bench.verdicts()
    assert {v.reason for v in verdicts} == {Reason.DEADLINE_MISSED}
    assert sorted(v.part_sequence for v in verdicts) == [1, waiting.part_sequence, waived.part_sequence]


def test_behind_another_line_that_hangs_nothing_is_an_overload(bench) -> None:
    """The technician is sent to the line whose inspection does not end."""
    bench.open(1)
    bench.held_by = "entry"
    bench.pass_by(101)
    (verdict,) = bench.verdicts()
    assert (verdict.disposition, verdict.reason) == (Disposition.REJECT, Reason.DEADLINE_MISSED)
    assert "line entry" in verdict.detail


@pytest.mark.parametrize(("held_ms", "is_held"), [(51, True), (50, False)])
def test_a_part_that_another_line_kept_from_its_turn_says_so(bench, held_ms, is_held) -> None:
    """Of the 100 ms that it had: most of it is the other line's doing, less may be this one's own."""
    bench.open(1)
    bench.held = "entry", held_ms * MS
    bench.pass_by(101)
    (verdict,) = bench.verdicts()
    assert verdict.was_held is is_held
    assert verdict.reason is (Reason.DEADLINE_MISSED if is_held else Reason.OVERLOAD)
    assert ("line entry" in verdict.detail) is is_held


def test_a_verdict_in_time_was_not_held(bench) -> None:
    """Whatever it waited for: it counts."""
    part = bench.open(1)
    bench.held = "entry", 60 * MS
    bench.propose(part, 0.5)
    assert [verdict.was_held for verdict in bench.verdicts()] == [False]


def test_a_frame_that_came_after_the_deadline_is_a_timeout(bench) -> None:
    """A slow camera is not told to slow down its belt."""
    part = make_part(1, bench.clock.monotonic_ns() - 500 * MS)
    part = replace(part, arrival=replace(part.arrival, captured_ns=bench.clock.monotonic_ns()))
    bench.inbox.offer(Opened(part))
    bench.stage.step()
    (verdict,) = bench.verdicts()
    assert (verdict.reason, verdict.detail) == (
        Reason.DEADLINE_MISSED,
        "its frame came 400 ms after the deadline",
    )


def test_a_result_after_the_deadline_is_dropped_and_counted(bench) -> None:
    """The part already has its verdict; a second one would be a lie in the ledger."""
    part = bench.open(1)
    bench.clock.advance(101 * MS)
    bench.stage.step()
    bench.propose(part, 0.1)
    assert len(bench.verdicts()) == 1
    assert bench.monitor.snapshot().late_results == 1


def test_what_is_open_at_the_end_gets_the_fail_safe(bench) -> None:
    """Stopping is not silence."""
    bench.open(1)
    bench.stage.finish()
    (verdict,) = bench.verdicts()
    assert (verdict.disposition, verdict.reason) == (Disposition.REJECT, Reason.STOPPING)


def test_a_proposal_that_overtakes_its_announcement_still_counts(bench) -> None:
    """The queue keeps order; should an announcement be lost all the same, the verdict is not."""
    bench.propose(make_part(9, bench.clock.monotonic_ns()), 0.5)
    assert [v.part_sequence for v in bench.verdicts()] == [9]


def test_evidence_is_kept_for_reject_and_review_only_and_never_blocks() -> None:
    """With its queue full the record says that there is no image."""
    bench = Bench(evidence_capacity=1)
    for number, score in ((1, 0.5), (2, 1.5), (3, 5.0)):
        bench.propose(bench.open(number), score)
    items = [bench.records.get(0) for _ in range(3)]
    assert [item.record.evidence is not None for item in items] == [False, True, False]
    assert bench.evidence.dropped == 1


def test_with_memory_low_evidence_goes_first(bench) -> None:
    """Frames that wait to be rendered are let go; the verdict, its record and the gate are as ever."""
    bench.propose(bench.open(1), 5.0)
    bench.shed.evidence = True
    bench.propose(bench.open(2), 5.0)
    assert (len(bench.evidence), bench.evidence.dropped) == (0, 1)
    assert [v.disposition for v in bench.verdicts()] == [Disposition.REJECT] * 2
    bench.shed.evidence = False
    bench.propose(bench.open(3), 5.0)
    assert len(bench.evidence) == 1


def test_records_carry_no_pixels(bench) -> None:
    """A dead disk must not fill the memory with frames."""
    bench.propose(bench.open(1), 5.0)
    assert bench.records.get(0).arrival.exposures == ()


def test_new_limits_hold_from_the_next_part_on(bench) -> None:
    """The recipe is replaced as a whole between two frames."""
    bench.propose(bench.open(1), 1.5)
    bench.recipe.put(make_recipe(review=3.0, reject=4.0), BUNDLE)
    bench.propose(bench.open(2), 1.5)
    assert [v.disposition for v in bench.verdicts()] == [Disposition.REVIEW, Disposition.PASS]


def test_two_open_parts_with_one_number_both_get_their_verdict(bench) -> None:
    """A PLC that was switched off and on counts from 1 again while the old part 1 is still open."""
    first = bench.open(1)
    bench.clock.advance(50 * MS)
    second = bench.open(1)
    bench.propose(second, 0.5)
    bench.propose(first, 5.0)
    found = [(v.triggered_ns, v.disposition) for v in bench.verdicts()]
    assert found == [(second.trigger.triggered_ns, Disposition.PASS), (first.trigger.triggered_ns, Disposition.REJECT)]
    assert bench.stage.idle


def test_a_late_result_is_not_taken_for_the_new_part_with_the_same_number(bench) -> None:
    """It would let the new part pass unseen."""
    old = bench.open(1)
    bench.begin(old)
    bench.pass_by(101)
    new = bench.open(1)
    bench.propose(old, 0.1)
    assert bench.stage.open_parts == 1
    bench.propose(new, 5.0)
    assert [v.reason for v in bench.verdicts()] == [Reason.DEADLINE_MISSED, Reason.ABOVE_LIMIT]
