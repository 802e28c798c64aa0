"""The end of the process."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S: Final = 0.5
"""Threads that were told to end get so long, all together."""


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
    until_s = time.monotonic() + GRACE_S
    helpers = [thread for thread in threading.enumerate() if thread.daemon]  # for the others the interpreter waits
    for thread in helpers:
        thread.join(max(0.0, until_s - time.monotonic()))
    left = [thread.name for thread in helpers if thread.is_alive()]
    if not left:
        return
    if isinstance(code, str):
        sys.stderr.write(code + "\n")
    sys.stderr.write(f"ended without waiting for: {', '.join(sorted(left))}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
