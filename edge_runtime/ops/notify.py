"""Talking to systemd: readiness, reload, status and the watchdog (sd_notify(3), in the few lines it takes)."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.ops.clock import Clock

_LONGEST_STATUS = 500


class Notifier:
    """Sends to systemd's notification socket; does nothing where there is none. Never blocks, never raises.

    Args:
        address: `NOTIFY_SOCKET`: a path, or `@name` for an abstract socket; None without systemd.
        clock: for the time stamp that a reload carries.
    """

    def __init__(self, address: str | None, clock: Clock) -> None:
        self._address = f"\0{address[1:]}" if address is not None and address.startswith("@") else address
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], clock: Clock) -> Notifier:
        """Where systemd says that it listens."""
        address = environment.get("NOTIFY_SOCKET", "")
        return cls(address if address.startswith(("/", "@")) else None, clock)

    def ready(self, status: str) -> bool:
        """Start-up or reload has finished. True if systemd took the message, here and below."""
        return self._send("READY=1", _status(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._clock.monotonic_ns() // 1_000}")

    def stopping(self, status: str) -> bool:
        """Shutting down."""
        return self._send("STOPPING=1", _status(status))

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(status))

    def watchdog(self) -> bool:
        """Alive; see `Watchdog` for who may say so."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Release the socket. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *assignments: str) -> bool:
        if self._socket is None or self._address is None:
            return False
        try:
            self._socket.sendto("\n".join(assignments).encode(), socket.MSG_DONTWAIT, self._address)
        except OSError:  # systemd is busy or gone: the line runs on, and the watchdog will judge
            return False
        return True


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}"


def watchdog_timeout_ns(environment: Mapping[str, str], pid: int | None = None) -> int | None:
    """Within what time systemd wants to hear from this process; None if it does not watch it."""
    wanted_pid = environment.get("WATCHDOG_PID", "")
    if wanted_pid and wanted_pid != str(os.getpid() if pid is None else pid):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) * 1_000 if microseconds.isdecimal() and int(microseconds) > 0 else None


class Watchdog:
    """Tells systemd that the inspect stage makes progress.

    Only that stage calls `progress`, once in every turn of its loop, idle turns included. There is no timer behind it:
    a stage that hangs stops calling, and systemd restarts the daemon. Used by one thread.

    Args:
        notifier: where to say so.
        timeout_ns: from `watchdog_timeout_ns`; None: nobody watches.
        clock: limits the messages to four in every timeout.
    """

    def __init__(self, notifier: Notifier, timeout_ns: int | None, clock: Clock) -> None:
        self._notifier = notifier
        self._interval_ns = None if timeout_ns is None else timeout_ns // 4
        self._clock = clock
        self._next_ns = 0

    def progress(self) -> None:
        """The stage has come round once more. Costs a clock reading; every now and then a datagram."""
        if self._interval_ns is None:
            return
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_ns and self._notifier.watchdog():
            self._next_ns = now_ns + self._interval_ns
