from __future__ import annotations

import logging
import random
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from heard import heard
from ledger_records import DEVICE, outbox_row
from line_process import free_port, wait_until

from edge_runtime.broker import create
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("no_leaks")


class Peer:
    """A TCP server that answers each connection with given bytes and closes it."""

    def __init__(self, answer: Callable[[int], bytes], *, silent: bool = False) -> None:
        self._answer = answer
        self._silent = silent
        self.connections = 0
        self._ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()
        self._server.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(1.0)
                connection.recv(4_096)
                connection.sendall(self._answer(self.connections))
                self.connections += 1
                if self._silent:
                    self._ended.wait(30)


@pytest.fixture
def make_peer() -> Iterator[Callable[..., Peer]]:
    """Makes peers; all are closed with the test."""
    made: list[Peer] = []

    def make(answer: Callable[[int], bytes], *, silent: bool = False) -> Peer:
        made.append(Peer(answer, silent=silent))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x03\x00\xff\x00",  # CONNACK with a reason code that does not exist
        b"\x20\x00",  # CONNACK without a body
        b"\x40\x02\x00\x01",  # PUBACK before CONNACK
        b"\xe0\x02\x8e\x00",  # DISCONNECT before CONNACK
        b"\x20\xff\xff\xff\xff\xff",  # a length that never ends
        b"",
    ],
)
def test_what_is_no_broker_is_never_taken_for_one(make_peer, version, answer) -> None:
    """The adapter stays unconnected, says so, tries again, and stops cleanly."""
    peer = make_peer(lambda _: answer)
    broker = create(MqttSettings.model_validate({"port": peer.port, "version": version}), DEVICE, SystemClock())
    broker.start()
    wait_until(lambda: peer.connections >= 2, "a second attempt")
    assert not broker.status().connected
    assert broker.status().connects == 0
    assert f":{peer.port}" in broker.status().detail
    assert not broker.publish(outbox_row(1))
    broker.stop(2.0)


def test_random_bytes_never_end_the_network_thread(make_peer) -> None:
    """Whatever bytes follow, the thread lives and goes on trying."""
    draw = random.Random(3)  # noqa: S311  (repeatable)
    peer = make_peer(lambda _: b"\x20\x03\x00\x00\x00" + draw.randbytes(draw.randrange(1, 200)))
    broker = create(MqttSettings(port=peer.port), DEVICE, SystemClock())
    broker.start()
    wait_until(lambda: peer.connections >= 4, "further attempts")
    broker.stop(2.0)


def test_a_peer_that_says_nothing_does_not_hold_up_the_stop(make_peer) -> None:
    """It accepts the connection and never answers: not connected, and `stop` keeps its time."""
    peer = make_peer(lambda _: b"", silent=True)
    broker = create(MqttSettings(port=peer.port), DEVICE, SystemClock())
    broker.start()
    wait_until(lambda: peer.connections == 1, "the connection")
    assert not broker.status().connected
    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    broker.stop(2.0)
    assert clock.monotonic_ns() - began_ns < 1_000_000_000


def test_an_absent_broker_is_not_an_error() -> None:
    """The line starts without it; the status says what to do, and so does the only warning."""
    broker = create(MqttSettings(port=free_port()), DEVICE, SystemClock())
    with heard("edge_runtime.broker.mqtt", logging.WARNING) as warnings:
        broker.start()
        wait_until(lambda: "start the broker" in broker.status().detail, "an explanation")
        broker.stop(2.0)
    assert len(warnings) == 1
    assert "start the broker" in warnings[0]
