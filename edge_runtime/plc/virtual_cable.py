"""A serial cable made of two pseudo terminals, to try serial links without hardware."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from pathlib import Path

_CHUNK = 4_096


class VirtualCable:
    """Two serial devices joined back to back: what one writes, the other reads. No wire time, no parity."""

    def __init__(self) -> None:
        self._masters: list[int] = []
        self._slaves: list[int] = []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append(master)
            # Held open: a pty whose last user has gone reports an error instead of waiting for the next one.
            self._slaves.append(slave)
        self.near, self.far = (Path(os.ttyname(slave)) for slave in self._slaves)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._pump, name="virtual-cable", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut the cable. Idempotent."""
        if not self._masters:
            return
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (*self._masters, *self._slaves, self._wake_read, self._wake_write):
            os.close(descriptor)
        self._masters, self._slaves = [], []

    def _pump(self) -> None:
        first, second = self._masters
        other = {first: second, second: first}
        while True:
            ready, _, _ = select.select([first, second, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            for master in ready:
                # A serial line without flow control loses what nobody reads, and so does this one.
                with contextlib.suppress(BlockingIOError):
                    os.write(other[master], os.read(master, _CHUNK))
