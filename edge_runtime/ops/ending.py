"""The end of the process."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def run_to_the_end(command: Callable[[], None]) -> None:
    """Run a command; where a thread cannot be stopped, end the process without it, with the command's exit code.

    A model that is being loaded and an inspection that hangs are in native code. An interpreter that shuts down
    around them takes their threads away in the middle of it, which ends in a crash (SIGABRT, SIGSEGV) and, under
    systemd, in a failed service, although everything is written and closed.

    Raises:
        SystemExit: the command's own; nothing was left behind.
    """
    try:
        command()
    except SystemExit as end:
        _leave(end.code)
        raise
    _leave(None)


def _leave(code: str | int | None) -> None:
    left = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    if not left:
        return
    if isinstance(code, str):
        sys.stderr.write(code + "\n")
    sys.stderr.write(f"ended without waiting for: {', '.join(sorted(left))}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
