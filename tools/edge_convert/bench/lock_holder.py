"""A Python thread that wants the interpreter's lock, as a daemon's other threads do."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

BUSY_S: Final = 0.0005
"""Held and left alone for as long: half of the time, in pieces as Python takes them between two calls that wait."""


class LockHolder:
    """Holds the lock half of the time while the context lasts."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="lock-holder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _hold(self) -> None:
        while not self._over.is_set():
            until = time.perf_counter() + BUSY_S
            while time.perf_counter() < until:
                pass
            time.sleep(BUSY_S)
