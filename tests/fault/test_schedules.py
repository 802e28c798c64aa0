"""The books of simulated lines agree whatever goes wrong; and the audit that says so is not blind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from schedule import Fault, S, Schedule, draw
from simulated_books import audit
from simulated_line import run

if TYPE_CHECKING:
    from simulated_outcome import Outcome

QUIET = Schedule(
    seed=1,
    line_s=12.0,
    parts_per_s=10.0,
    inspect_ms=5.0,
    travel_ms=800,
    deadline_ms=300,
    gate="permit",
    ledger="memory",
    faults=(),
)


@pytest.mark.parametrize("seed", range(1_001, 1_009))
def test_the_books_agree_after_a_drawn_schedule_of_faults(seed, tmp_path) -> None:
    """Twelve seconds of line time, three to twelve faults; `run_schedules.py --seed … --line-s 12` replays one."""
    found = audit(run(draw(seed, 12.0), tmp_path))
    assert found.findings == (), found.account


def test_a_seed_replays_to_the_last_switch_of_threads(tmp_path) -> None:
    """Two runs of one schedule give the same account: verdicts, gate, latencies, duplicates, interleaving."""
    schedule = replace(draw(1_010, 12.0), ledger="memory")
    assert audit(run(schedule, tmp_path)).account == audit(run(schedule, tmp_path)).account


def test_without_faults_every_part_gets_what_the_detector_says(tmp_path) -> None:
    """The measure of all others: good parts pass, nothing is late, nothing comes twice."""
    outcome = run(replace(QUIET, seed=3), tmp_path)
    passed = {record.sequence for record in outcome.plc.gate_log if record.passed}
    seen = {n for n in range(1, len(outcome.belt.times_ns) + 1) if not outcome.belt.part(n).trigger_dropped}
    assert audit(outcome).findings == ()
    assert passed == {n for n in seen if outcome.belt.would_pass(n)}
    assert len(outcome.delivered) == len(outcome.ledger)


@pytest.mark.parametrize(
    "faults",
    [
        (Fault("ledger", "full", 2.0, 6.5), Fault("process", "killed", 8.0, 1.0)),
        (Fault("ledger", "slow", 5.0, 3.0), Fault("plc", "gone", 7.0, 6.0), Fault("process", "killed", 7.5, 1.0)),
        (
            Fault("ledger", "full", 2.0, 6.5),
            Fault("plc", "gone", 7.5, 7.5),
            Fault("process", "killed", 8.0, 1.0),
            Fault("process", "killed", 13.0, 1.0),
        ),
    ],
    ids=["the disk was full", "and the PLC is away at the start", "and for the whole next life"],
)
def test_what_was_acted_upon_and_not_committed_reappears_as_interrupted(faults, tmp_path) -> None:
    """Killed while the records of many parts wait for the disk: each of them is written down after the restart."""
    outcome = run(replace(QUIET, faults=faults, ledger="disk", line_s=18.0, parts_per_s=15.0), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert sum(m.get("reason") == "interrupted" for m in outcome.ledger) > 8


@pytest.mark.parametrize("is_killed", [False, True], ids=["while it runs", "and killed"])
@pytest.mark.parametrize("seed", range(4))
def test_of_a_damaged_ledger_no_record_is_lost_that_could_still_be_read(is_killed, seed, tmp_path) -> None:
    """Undelivered ones included, behind the damaged pages too: the broker is away and gets them afterwards."""
    faults = [Fault("broker", "away", 2.0, 9.0), Fault("ledger", "corrupt", 9.0, 1.0)]
    faults += [Fault("process", "killed", 9.0, 1.0)] if is_killed else []
    outcome = run(replace(QUIET, seed=seed, faults=tuple(faults), ledger="disk", parts_per_s=20.0), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert outcome.damages == 1


def test_a_serial_adapter_that_comes_back_under_another_name_is_opened_again(tmp_path) -> None:
    """What was open before it was pulled is never answered again; after it is back parts pass again."""
    outcome = run(replace(QUIET, faults=(Fault("plc", "replugged", 3.0, 2.0),)), tmp_path)
    assert audit(outcome).findings == ()
    late_ns = outcome.belt.times_ns[0] + 7 * S
    assert any(entry.passed and outcome.belt.times_ns[entry.sequence - 1] > late_ns for entry in outcome.plc.gate_log)


def _without_one_delivery(outcome: Outcome) -> None:
    lost = outcome.delivered[20]["sequence"]
    outcome.delivered = [m for m in outcome.delivered if m["sequence"] != lost]


def _without_one_verdict(outcome: Outcome) -> None:
    lost = next(m["sequence"] for m in outcome.ledger if m.get("part_sequence") == 30)
    outcome.ledger = [m for m in outcome.ledger if m["sequence"] != lost]
    outcome.delivered = [m for m in outcome.delivered if m["sequence"] != lost]


def _with_one_verdict_twice(outcome: Outcome) -> None:
    again = next(m for m in outcome.ledger if m.get("part_sequence") == 30)
    outcome.ledger = [*outcome.ledger, again | {"sequence": len(outcome.ledger) + 1}]


def _with_another_truth(outcome: Outcome) -> None:
    outcome.belt = replace(outcome.belt, seed=outcome.belt.seed + 1)


def _with_a_damage_untold(outcome: Outcome) -> None:
    outcome.damages = 1


def _with_a_late_verdict(outcome: Outcome) -> None:
    outcome.ledger[30]["latency_ms"] = 10_000.0


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [
        (_without_one_delivery, "never delivered"),
        (_without_one_verdict, "triggers without verdict"),
        (_with_one_verdict_twice, "more than one verdict"),
        (_with_another_truth, "bad parts passed the gate"),
        (_with_a_damage_untold, "damaged 1 times, told of 0"),
        (_with_a_late_verdict, "after their deadline"),
    ],
)
def test_the_audit_sees_what_is_wrong(tamper, finding, tmp_path) -> None:
    """Each book altered in one place, in a run in which nothing went wrong."""
    outcome = run(QUIET, tmp_path)
    tamper(outcome)
    assert finding in "; ".join(audit(outcome).findings)
