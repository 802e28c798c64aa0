"""Twins of the lines that we switch ourselves: a serial relay and a GPIO line without hardware."""

from __future__ import annotations

import errno
import os
import select
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.config.plc import GpioSettings

_COMMAND_BYTES = 4
_START = 0xA0


class RelayTwin:
    """An LCUS relay on a pseudo terminal, reached through a link as udev makes them in /dev/serial/by-id."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.commands: list[tuple[int, bool]] = []
        """(channel, on) of every sound command that `listen` has read, in order."""
        self.refused: list[bytes] = []
        """Four bytes that were no command."""
        self._pty: tuple[int, int] | None = None
        self._pending = b""
        self.plug()

    def plug(self) -> None:
        """Plug in: the link leads to a new device. All contacts are open."""
        master, slave = os.openpty()
        tty.setraw(slave)
        self._pty = (master, slave)
        self._pending = b""
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))

    def unplug(self, *, keep_link: bool = False) -> None:
        """Pull out; with `keep_link` before udev has noticed."""
        if self._pty is None:
            return
        for descriptor in self._pty:
            os.close(descriptor)
        self._pty = None
        if not keep_link:
            self.link.unlink(missing_ok=True)

    def listen(self, timeout_s: float = 0.0) -> bool:
        """Take what was written; wait up to `timeout_s` for the first byte. True if a command came."""
        known = len(self.commands)
        if self._pty is None:
            return False
        while select.select([self._pty[0]], [], [], timeout_s)[0]:
            timeout_s = 0.0
            self._pending += os.read(self._pty[0], 4_096)
        while len(self._pending) >= _COMMAND_BYTES:
            frame, self._pending = self._pending[:_COMMAND_BYTES], self._pending[_COMMAND_BYTES:]
            start, channel, state, check = frame
            if start == _START and state in {0, 1} and check == (start + channel + state) & 0xFF:
                self.commands.append((channel, bool(state)))
            else:
                self.refused.append(frame)
        return len(self.commands) > known

    def close(self) -> None:
        """Unplug for good. Idempotent."""
        self.unplug()


class GpioTwin:
    """A GPIO chip of which one line can be requested at a time."""

    def __init__(self) -> None:
        self.active = False
        """State of the line as the ejector sees it."""
        self.history: list[bool] = []
        """Every state that was set, in order."""
        self.requested = False
        self.broken = False
        """True: the kernel answers every call with an input/output error."""

    def request(self, settings: GpioSettings) -> GpioTwin:
        """What `gpio.request_line` does with the kernel; the twin is its own line.

        Raises:
            OSError: busy or broken.
        """
        if self.requested:
            raise OSError(errno.EBUSY, "line is in use", str(settings.chip))
        self._check()
        self.requested = True
        self.active = False
        return self

    def set(self, *, active: bool) -> None:
        """See `gpio.OutputLine`."""
        self._check()
        self.active = active
        self.history.append(active)

    def release(self) -> None:
        """See `gpio.OutputLine`."""
        self.requested = False
        self._check()

    def _check(self) -> None:
        if self.broken:
            raise OSError(errno.EIO, "input/output error")
