"""A serial cable to a PLC whose adapter can be pulled out of the PC: it comes back as another device."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from pathlib import Path


class PlugCable:
    """The PLC's end stays; the PC's is reached through a link, as udev makes them in /dev/serial/by-id."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._plc, self._plc_held = _terminal()
        self.plc_device = Path(os.ttyname(self._plc_held))
        self._pc: tuple[int, int] | None = None
        self._taken: list[tuple[int, int]] = []
        self._changing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pump, name="plug-cable", daemon=True)
        self.plug()
        self._thread.start()

    def plug(self) -> None:
        """Plug in: the link leads to a device that was not there before."""
        with self._changing:
            if self._pc is None:
                self._pc = _terminal()
                self.link.unlink(missing_ok=True)
                self.link.symlink_to(os.ttyname(self._pc[1]))

    def unplug(self) -> None:
        """Pull out: whoever has the device open hears nothing more. Its name goes to somebody else."""
        with self._changing:
            if self._pc is not None:
                _close(self._pc)
                self._pc = None
                self._taken.append(_terminal())
                self.link.unlink(missing_ok=True)

    def close(self) -> None:
        """For good."""
        self._stop.set()
        self._thread.join()
        self.unplug()
        for pair in (*self._taken, (self._plc, self._plc_held)):
            _close(pair)

    def _pump(self) -> None:
        while not self._stop.is_set():
            with self._changing:
                pc = None if self._pc is None else self._pc[0]
                ends = [self._plc] if pc is None else [self._plc, pc]
                ready, _, _ = select.select(ends, [], [], 0.0)
                for end in ready:
                    # A serial line loses what nobody reads.
                    with contextlib.suppress(OSError):
                        content = os.read(end, 4_096)
                        if pc is not None:
                            os.write(pc if end == self._plc else self._plc, content)
            self._stop.wait(0.001)


def _terminal() -> tuple[int, int]:
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


def _close(pair: tuple[int, int]) -> None:
    for descriptor in pair:
        os.close(descriptor)
