"""Releases that come while a simulated line runs, sound and bad ones; and the audit of them is not blind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from release_books import FIRST, SECOND
from schedule import Fault
from simulated_books import audit
from simulated_line import run
from test_schedules import QUIET

if TYPE_CHECKING:
    from simulated_outcome import Outcome


STARTED_PARTS = 5
"""Half a second: by then the link to the PLC stands."""


def _with(*faults: Fault, **changes):
    return replace(QUIET, faults=faults, ledger="disk", **changes)


def _kinds(outcome: Outcome) -> set[str]:
    return {m["kind"] for m in outcome.ledger if "kind" in m}


def _good(outcome: Outcome) -> str:
    return outcome.releases.kinds[outcome.releases.known_good]


@pytest.mark.parametrize("kind", ["confirmed", "taken_back", "refused", "damaged", "rotten"])
def test_a_release_that_comes_costs_no_part(kind, tmp_path) -> None:
    """Taken up, taken back or refused: every part gets what the detector says of it, by one model or the other."""
    outcome = run(_with(Fault("model", kind, 3.0, 4.0)), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    begun = min(m["part_sequence"] for m in outcome.ledger if "part_sequence" in m) + STARTED_PARTS
    parts = [outcome.belt.part(n) for n in range(begun, len(outcome.belt.times_ns) + 1)]
    good = {part.sequence for part in parts if outcome.belt.would_pass(part.sequence) and not part.trigger_dropped}
    assert {r.sequence for r in outcome.plc.gate_log if r.passed and r.sequence >= begun} == good
    judged_by = {m["bundle"]["digest"] for m in outcome.ledger if m.get("score") is not None}
    assert len(judged_by) == (2 if kind in {"confirmed", "taken_back"} else 1)
    assert (_good(outcome) == "confirmed") == (kind == "confirmed")


@pytest.mark.parametrize("kind", ["nonsense", "rejecting", "hanging"])
def test_a_release_that_fails_on_the_line_is_rolled_back(kind, tmp_path) -> None:
    """Its parts get the fail-safe or are rejected, none passes by mistake, and the one before it decides again."""
    outcome = run(_with(Fault("model", kind, 3.0, 6.0)), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert "model_rolled_back" in _kinds(outcome)
    assert _good(outcome) == SECOND
    last = max((m for m in outcome.ledger if m.get("score") is not None), key=lambda m: m["sequence"])
    assert outcome.releases.kinds[last["bundle"]["digest"]] == SECOND


def test_models_change_while_parts_are_looked_at_side_by_side(tmp_path) -> None:
    """Sound and bad ones: each part is judged once, in time, with the limits of the model that looked at it."""
    kinds = ("taken_back", "nonsense", "hanging", "confirmed")
    faults = tuple(Fault("model", kind, 2.0 + 3 * number, 2.0) for number, kind in enumerate(kinds))
    outcome = run(_with(*faults, at_once=3, parts_per_s=25.0, inspect_ms=60.0, line_s=16.0), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert {outcome.releases.kinds[m["bundle"]["digest"]] for m in _judged(outcome)} >= {SECOND, "taken_back"}


def test_a_rotten_release_makes_way_for_the_one_before_it(tmp_path) -> None:
    """The new one fails, there is no memory for a second, and the old one's file is damaged: an older one is there."""
    outcome = run(_with(Fault("model", "rotten", 2.5, 1.0), Fault("model", "nonsense", 3.0, 4.0)), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert "model_not_loaded" in _kinds(outcome)
    assert _good(outcome) == FIRST


@pytest.mark.parametrize("after_s", [0.1, 2.0, 5.0], ids=["it is loaded", "it is on trial", "it is confirmed"])
def test_killed_while_a_release_is_on_its_way(after_s, tmp_path) -> None:
    """It goes on with it after the next start; a trial goes on, and a kill is not held against it yet."""
    faults = (Fault("model", "confirmed", 3.0, 4.0), Fault("process", "killed", 3.0 + after_s, 1.0))
    outcome = run(_with(*faults, line_s=18.0), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert len(outcome.lives) == 2
    assert _good(outcome) == "confirmed"


def test_on_a_full_disk_a_release_waits_and_the_line_goes_on(tmp_path) -> None:
    """Its attempt cannot be committed, so nothing of it runs; once there is room it is tried and confirmed."""
    faults = (Fault("ledger", "full", 2.5, 5.0), Fault("model", "confirmed", 3.0, 4.0))
    outcome = run(_with(*faults, line_s=18.0), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account
    assert "updates_unavailable" in _kinds(outcome)
    assert _good(outcome) == "confirmed"


def _judged(outcome: Outcome) -> list[dict]:
    return [m for m in outcome.ledger if m.get("score") is not None]


def _with_a_stranger(outcome: Outcome) -> None:
    _judged(outcome)[30]["bundle"]["digest"] = "f" * 64


def _with_the_old_model_once_more(outcome: Outcome) -> None:
    first, last = _judged(outcome)[0], _judged(outcome)[-1]
    last["bundle"]["digest"], last["limits"] = first["bundle"]["digest"], first["limits"]


def _with_limits_of_another(outcome: Outcome) -> None:
    _judged(outcome)[-1]["limits"] = _judged(outcome)[0]["limits"]


def _with_a_bad_one_confirmed(outcome: Outcome) -> None:
    outcome.releases.kinds[outcome.releases.known_good] = "nonsense"


def _with_a_damaged_one_that_ran(outcome: Outcome) -> None:
    outcome.releases.kinds[_judged(outcome)[0]["bundle"]["digest"]] = "damaged"


@pytest.fixture(scope="module")
def swapped(tmp_path_factory) -> Outcome:
    """A run in which a release was confirmed."""
    return run(_with(Fault("model", "confirmed", 3.0, 4.0)), tmp_path_factory.mktemp("swapped"))


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [
        (_with_a_stranger, "name no release of this line"),
        (_with_the_old_model_once_more, "while another model decided"),
        (_with_limits_of_another, "with the limits of another"),
        (_with_a_bad_one_confirmed, "last-known-good release is the one that was: nonsense"),
        (_with_a_damaged_one_that_ran, "by a release that may not run"),
    ],
)
def test_the_audit_of_releases_sees_what_is_wrong(tamper, finding, swapped) -> None:
    """Each book altered in one place, in a run in which nothing went wrong."""
    altered = replace(
        swapped,
        ledger=[m | {k: dict(m[k]) for k in ("bundle", "limits") if k in m} for m in swapped.ledger],
        releases=replace(swapped.releases, kinds=dict(swapped.releases.kinds)),
    )
    tamper(altered)
    assert audit(swapped).findings == ()
    assert finding in "; ".join(audit(altered).findings)
