"""What a running daemon opens to the network, by the kernel's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, DaemonProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTEN = "0A"
LOOPBACK = "0100007F"


def sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1])
    return found


def table(pid: int, name: str) -> list[list[str]]:
    """Rows of one table of the process's network, as words."""
    return [line.split() for line in Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]]


def listening(pid: int) -> set[tuple[str, str, int]]:
    """(table, address in the kernel's hexadecimal, port) of every socket that takes connections or datagrams."""
    own, found = sockets(pid), set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for row in table(pid, name):
            address, port = row[1].split(":")
            if row[9] in own and (name.startswith("udp") or row[3] == LISTEN):
                found.add((name, address, int(port, 16)))
    return found


@pytest.fixture
def daemon(tmp_path, request) -> Iterator[tuple[DaemonProcess, int]]:
    """A simulated line; the parameter says whether its local pages are on."""
    port = free_port()
    config = tmp_path / "line.toml"
    config.write_text(
        f"""
        device = {{ name = "closed", state_dir = "{tmp_path / "state"}" }}
        bundle = {{ path = "{DEMO_BUNDLE}" }}
        camera = {{ kind = "sim" }}
        plc = {{ kind = "sim" }}
        mqtt = {{ port = {free_port()}, commands = ["replay"] }}
        ops = {{ metrics_port = {port if request.param else "false"} }}
        """,
        encoding="utf-8",
    )
    process = DaemonProcess(config, tmp_path / "daemon.log")
    process.wait_ready()
    yield process, port
    process.close()


@pytest.mark.parametrize("daemon", [True], indirect=True)
def test_nothing_listens_but_the_local_pages_on_loopback(daemon) -> None:
    """Metrics, health and preview on 127.0.0.1; no other port, no other address, no datagram socket."""
    process, port = daemon
    assert listening(process.process.pid) == {("tcp", LOOPBACK, port)}


@pytest.mark.parametrize("daemon", [False], indirect=True)
def test_without_local_pages_nothing_listens_at_all(daemon) -> None:
    """`metrics_port = false` closes the last door; MQTT commands need none, they come over our own connection."""
    process, _ = daemon
    assert sockets(process.process.pid)
    assert listening(process.process.pid) == set()
