"""Names of threads, where several lines run in one process."""

from __future__ import annotations

import threading


def of_this_line(name: str) -> str:
    """`name`, behind the name of the line whose thread begins it: `exit/mqtt`. Its log entries say the line then."""
    line, slash, _ = threading.current_thread().name.partition("/")
    return f"{line}/{name}" if slash else name
