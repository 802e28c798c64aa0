"""Somebody sets the wall clock by a year while parts are on the belt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driven_line import DrivenLine
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import MS
from outbox_bench import make_item

from edge_runtime.broker.encoding import encoder
from edge_runtime.domain.records import EventRecord
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.services.reconcile import reconcile

YEAR_NS = 365 * 86_400 * 1_000_000_000


def _verdicts(jumps: dict[int, int]):
    """What a line that is sometimes overloaded decides, with the wall clock set by so much at these milliseconds."""
    line = DrivenLine(interval_ms=15, duration_ms=20, parts=60)
    began_ns = line.clock.monotonic_ns()

    def set_the_clock() -> None:
        jump_ns = jumps.get((line.clock.monotonic_ns() - began_ns) // MS, 0)
        if jump_ns:
            line.clock.set_wall(max(0, line.clock.wall_ns() + jump_ns))

    line.on_millisecond = set_the_clock
    return [replace(verdict, triggered_wall_ns=0) for verdict in line.run(1_200)]


UNDISTURBED = _verdicts({})


@settings(max_examples=15, deadline=None)
@given(st.dictionaries(st.integers(0, 1_100), st.sampled_from([YEAR_NS, -YEAR_NS, -100 * YEAR_NS]), max_size=4))
def test_no_verdict_depends_on_the_wall_clock(jumps) -> None:
    """A year ahead, a year back, 1970: the same parts get the same verdicts at the same instants."""
    assert _verdicts(jumps) == UNDISTURBED


def test_the_ledger_keeps_the_order_in_which_things_happened(tmp_path) -> None:
    """Records of a clock that was set back come after those before, in the ledger and at the broker."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", "line", encoder("line"))
    times = [1_790_000_000 * 10**9, 1_790_000_000 * 10**9 + YEAR_NS, 0, 12 * 10**9]
    try:
        for number, wall_ns in enumerate(times):
            ledger.append([EventRecord(f"event_{number}", "info", "", wall_ns), make_item(number + 1).record])
        sequences = [row.sequence for row in ledger.unsent(0, 100)]
        assert sequences == sorted(sequences)
        kinds = [row.payload for row in ledger.unsent(0, 100) if b"event_" in row.payload]
        assert [b"event_%d" % number in payload for number, payload in enumerate(kinds)] == [True] * len(times)
    finally:
        ledger.close()


@pytest.mark.parametrize("wall_ns", [0, 12 * 10**9, 4_102_444_800 * 10**9])
def test_a_board_that_starts_in_1970_reconciles_and_writes_like_any_other(tmp_path, wall_ns) -> None:
    """Interrupted parts are found by their sequence, and their time is what the clock says."""
    line = DrivenLine(interval_ms=15, duration_ms=1, parts=1)
    found = reconcile(3, 5, line.recipe.current, line.detector.bundle.identity, "camera", 0, wall_ns)
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", "line", encoder("line"))
    try:
        assert len(ledger.append(found.interrupted)) == 2
        assert ledger.last_part_sequence() == 5
    finally:
        ledger.close()
