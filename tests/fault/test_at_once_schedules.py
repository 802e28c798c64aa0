"""A simulated line that looks at several parts side by side, through the same faults."""

from __future__ import annotations

from dataclasses import replace

import pytest
from schedule import Fault, draw
from simulated_books import audit
from simulated_line import run
from test_schedules import QUIET

FAST = replace(QUIET, parts_per_s=25.0, inspect_ms=60.0, line_s=6.0)
"""Parts come faster than one thread looks at them, and not than two do."""


def test_what_is_too_much_for_one_is_not_for_two(tmp_path) -> None:
    """They look side by side, and every part gets what the detector says."""
    one, two = (run(replace(FAST, at_once=at_once), tmp_path) for at_once in (1, 2))
    for outcome in (one, two):
        found = audit(outcome)
        assert found.findings == (), found.account
    overload = [sum(m.get("reason") == "overload" for m in outcome.ledger) for outcome in (one, two)]
    assert overload[0] > 15
    assert overload[1] == 0


@pytest.mark.parametrize(("kind", "at_once"), [("hangs", 2), ("hangs", 3), ("crashes", 3), ("nan", 2), ("slow", 3)])
def test_an_engine_that_fails_one_thread_or_all(kind, at_once, tmp_path) -> None:
    """For half of the calls, or until it goes on: no part is without its verdict, and none gets two."""
    share = 1.0 if kind == "hangs" else 0.5
    faults = (Fault("engine", kind, 2.0, 3.5, share), Fault("stage", "inspect", 6.5, 1.5))
    outcome = run(replace(FAST, at_once=at_once, faults=faults, line_s=9.0), tmp_path)
    found = audit(outcome)
    assert found.findings == (), found.account


@pytest.mark.parametrize("seed", [1_001, 1_012])
def test_the_books_agree_after_a_drawn_schedule_of_faults(seed, tmp_path) -> None:
    """As with one thread."""
    drawn = draw(seed, 12.0)
    found = audit(run(replace(drawn, at_once=2 + seed % 2, inspect_ms=2 * drawn.inspect_ms), tmp_path))
    assert found.findings == (), found.account


@pytest.mark.parametrize("seed", [26, 29])
def test_killed_while_the_disk_is_slow_no_part_was_acted_upon_without_a_record(seed, tmp_path) -> None:
    """Half of the inspections take ten times as long: the parts behind them are judged before."""
    faults = (
        Fault("ledger", "slow", 3.0, 3.5),
        Fault("engine", "slow", 2.0, 8.0, 0.5),
        Fault("process", "killed", 4.0 + seed * 0.037, 1.0),
    )
    changes = {"seed": seed, "at_once": 3, "inspect_ms": 20.0, "line_s": 8.0, "faults": faults, "ledger": "disk"}
    found = audit(run(replace(FAST, **changes), tmp_path))
    assert found.findings == (), found.account
