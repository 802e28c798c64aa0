"""Runs a command under an allow list of system calls, as systemd's SystemCallFilter= with SystemCallErrorNumber=EPERM.

python seccomp_exec.py NAMES COMMAND…     NAMES: a file with the allowed calls, one per line
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

ALLOW = 0x7FFF_0000
REFUSE = 0x0005_0001
"""SCMP_ACT_ERRNO(EPERM)."""


def load_filter(names: list[str]) -> None:
    """Refuse every other system call from now on, in this process and all that it starts."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE)))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # a call of another architecture
        if library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 0, None) != 0:
            raise OSError(f"cannot allow {name}")
    if library.seccomp_load(context) != 0:
        raise OSError("the kernel does not take the filter")


if __name__ == "__main__":
    load_filter(Path(sys.argv[1]).read_text(encoding="ascii").split())
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  (the test's own command)
