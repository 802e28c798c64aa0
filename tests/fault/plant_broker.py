"""The broker of a plant: it can refuse, lose its memory, and show a certificate that nobody knows."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

from certificates import Authority
from line_process import free_port
from mosquitto import Mosquitto

if TYPE_CHECKING:
    from pathlib import Path

OPEN_ACL = "topic readwrite #\n"
CLOSED_ACL = "topic read #\n"


class PlantBroker:
    """Mosquitto on a plain port for the subscriber and, where asked for, on one with TLS for the daemon."""

    version = "5"
    host = "127.0.0.1"

    def __init__(self, folder: Path, *, with_tls: bool = False) -> None:
        folder.mkdir(parents=True)
        self._acl = folder / "acl"
        self._acl.write_text(OPEN_ACL)
        self._acl.chmod(0o600)
        lines = ["allow_anonymous true", f"acl_file {self._acl}"]
        self.tls_port = 0
        self.authority: Path | None = None
        """Certificate of the one that the daemon trusts."""
        if with_tls:
            self.tls_port = free_port()
            authorities = {name: Authority(folder / name) for name in ("ours", "theirs")}
            self._pairs = {name: made.issue("server", "IP:127.0.0.1") for name, made in authorities.items()}
            self.authority = authorities["ours"].certificate
            self._server = folder / "server.pem", folder / "server.key"
            self._show("ours")
            lines += [f"listener {self.tls_port} {self.host}", f"certfile {self._server[0]}"]
            lines += [f"keyfile {self._server[1]}"]
        self._broker = Mosquitto(folder, tuple(lines))
        self._broker.start()
        self._is_up = True

    @property
    def port(self) -> int:
        """TCP port; the same after a restart."""
        return self._broker.port

    def down(self, *, forget: bool) -> None:
        """SIGKILL; `forget` also takes what it had saved."""
        if self._is_up:
            self._broker.kill()
            self._is_up = False
        if forget:
            self._broker.forget()

    def up(self) -> None:
        """Back again."""
        if not self._is_up:
            self._broker.start()
            self._is_up = True

    def show_certificate(self, *, of_a_stranger: bool) -> None:
        """Killed and back with another certificate: one by an authority that the daemon does not know, or its own."""
        was_up = self._is_up
        self.down(forget=False)
        self._show("theirs" if of_a_stranger else "ours")
        if was_up:
            self.up()

    def pause(self, number: int) -> None:
        """SIGSTOP or SIGCONT."""
        if self._is_up:
            os.kill(self._broker.pid, number)

    def refuse(self, *, closed: bool) -> None:
        """Deny or allow publishing."""
        self._acl.write_text(CLOSED_ACL if closed else OPEN_ACL)
        self.pause(signal.SIGHUP)

    def close(self) -> None:
        """End it, paused or not."""
        self.pause(signal.SIGCONT)
        self.down(forget=False)

    def _show(self, name: str) -> None:
        for source, target in zip(self._pairs[name], self._server, strict=True):
            shutil.copyfile(source, target)
