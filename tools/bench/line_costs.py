"""Where a turn's processor time went, thread by thread, as Linux counts it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

_TASKS: Final = Path("/proc/self/task")
ENGINE: Final = "engine's own"
"""Threads that no Python code started."""


def thread_ns() -> dict[str, int]:
    """Processor time of every thread of this process so far, by its name; empty where the kernel does not tell."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    spent: dict[str, int] = {}
    for task in _TASKS.glob("*/schedstat"):
        try:
            ran_ns = int(task.read_text("ascii").split()[0])
        except (OSError, ValueError):
            continue  # it has just ended
        name = names.get(int(task.parent.name), ENGINE)
        spent[name] = spent.get(name, 0) + ran_ns
    return spent


class ThreadCosts:
    """What each thread spent in the turns of one side."""

    def __init__(self) -> None:
        self._spent: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        """A turn begins."""
        self._before = thread_ns()

    def end(self) -> None:
        """It is over; a thread that ended within it is not counted."""
        for name, now_ns in thread_ns().items():
            self._spent[name] = self._spent.get(name, 0) + now_ns - self._before.get(name, 0)

    def ms_per_part(self, parts: int) -> dict[str, float]:
        """Milliseconds, most first."""
        ordered = sorted(self._spent.items(), key=lambda one: -one[1])
        return {name: spent / max(parts, 1) / 1e6 for name, spent in ordered if spent}
