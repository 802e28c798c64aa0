"""One process at a time writes a ledger."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.failures import explained

if TYPE_CHECKING:
    from pathlib import Path


def claim(path: Path) -> int:
    """The file descriptor of this process's claim on the ledger; the kernel drops it even after SIGKILL.

    Raises:
        LedgerError: another process has it, or its file cannot be made.
    """
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explained(path, "open", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LedgerError(
            f"the ledger {path} is in use by another process",
            "Stop the other edge_runtime, or give this one a device.name and a device.state_dir of its own.",
        ) from error
    return descriptor
