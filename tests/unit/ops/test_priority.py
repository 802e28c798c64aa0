from __future__ import annotations

import os
import threading

import pytest

from edge_runtime.ops.priority import stand_back

NICENESS = 7


def _after_standing_back(policy: int, level: int) -> tuple[int, int, int]:
    """Policy, real-time priority and niceness of a thread that began with these and stood back."""
    found: list[tuple[int, int, int]] = []

    def work() -> None:
        try:
            os.sched_setscheduler(0, policy, os.sched_param(level))
        except PermissionError:
            return
        stand_back(NICENESS)
        niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        found.append((os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, niceness))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if not found:
        pytest.skip("needs the right to run in real time")
    return found[0]


@pytest.mark.parametrize(
    ("policy", "level", "left"),
    [(os.SCHED_OTHER, 0, 0), (os.SCHED_FIFO, 3, 2), (os.SCHED_RR, 2, 1), (os.SCHED_FIFO, 1, 1)],
)
def test_a_thread_stands_back_behind_its_own_process_and_not_behind_every_other(
    policy: int, level: int, left: int
) -> None:
    """Nicer, and in real time one priority lower; whoever called it keeps his."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert _after_standing_back(policy, level) == (policy, left, min(before + NICENESS, 19))
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
