"""How a thread stands back behind the others of this process."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Final

_LOWEST: Final = 19


def stand_back(niceness: int) -> None:
    """From now on the calling thread gets the processor after those that did not stand back, as far as Linux grants it.

    Threads that it starts inherit that; threads that a library started before it do not.

    Args:
        niceness: added to the present one; 10 gets a tenth of a busy processor.
    """
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + niceness, _LOWEST))
