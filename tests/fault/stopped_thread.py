"""Stopping one thread of another process, as SIGSTOP stops a whole one: by tracing it (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class StoppedThread:
    """One thread that stands still until `go`. Both by the same thread of ours."""

    def __init__(self, thread: int) -> None:
        """Stop it.

        Raises:
            OSError: it is gone, or we may not.
        """
        self._thread = thread
        _ptrace(_SEIZE, thread)
        _ptrace(_INTERRUPT, thread)
        os.waitpid(thread, _WALL)

    def go(self) -> None:
        """It goes on. If it was killed meanwhile its end is taken note of: until then its process cannot end either."""
        try:
            _ptrace(_DETACH, self._thread)
        except OSError:
            with contextlib.suppress(OSError):
                os.waitpid(self._thread, _WALL)


def threads_of(process: int) -> list[int]:
    """Its threads, oldest first, without the main one."""
    return sorted(int(entry.name) for entry in Path(f"/proc/{process}/task").iterdir() if entry.name != str(process))


def _ptrace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
