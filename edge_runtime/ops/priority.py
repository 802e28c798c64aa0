"""How a thread stands back behind the others of this process."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Final

_LOWEST: Final = 19
_REAL_TIME: Final = frozenset({os.SCHED_FIFO, os.SCHED_RR})


def stand_back(niceness: int) -> None:
    """From now on the calling thread gets the processor after those that did not stand back, as far as Linux grants it.

    Threads that it starts inherit that; threads that a library started before it do not. In a process that runs in real
    time (`chrt -f`, `CPUSchedulingPolicy=fifo`), where niceness means nothing, it goes down by one priority, 2 being
    the least that has one below it. It does not become an ordinary thread: holding the interpreter's lock it would wait
    for every other program, and the line for it.

    Args:
        niceness: added to the present one; 10 gets a tenth of a busy processor.
    """
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        policy = os.sched_getscheduler(thread)
        if policy & ~os.SCHED_RESET_ON_FORK in _REAL_TIME:
            lower = max(os.sched_getparam(thread).sched_priority - 1, 1)
            os.sched_setscheduler(thread, policy, os.sched_param(lower))
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + niceness, _LOWEST))
