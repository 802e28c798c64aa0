from __future__ import annotations

from edge_runtime.camera.part_ids import run_stamp
from edge_runtime.ops.clock import SimulatedClock


def test_the_stamp_is_the_time_of_the_run() -> None:
    """Parts of two runs are told apart by when they ran."""
    assert run_stamp(SimulatedClock(0, 1_790_000_000 * 10**9)) == "20260921T141320"


def test_two_runs_of_a_board_without_a_battery_are_told_apart() -> None:
    """Both begin at the same second of 1970."""
    stamps = {run_stamp(SimulatedClock(0, 12 * 10**9)) for _ in range(20)}
    assert len(stamps) == 20
    assert all(stamp.startswith("19700101T000012-") for stamp in stamps)
