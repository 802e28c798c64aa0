from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, outbox_row
from line_process import wait_until

from edge_runtime.broker import create, embedded
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.domain.errors import BrokerError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_runtime.broker.embedded import EmbeddedBroker

KILLED_PARENT = """
import sys
from edge_runtime.broker.embedded import start_embedded
print(start_embedded().port, flush=True)
sys.stdin.read()
"""


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def _delivers(running: EmbeddedBroker) -> bool:
    settings = MqttSettings.model_validate({"host": running.host, "port": running.port, "version": running.version})
    broker = create(settings, DEVICE, SystemClock())
    broker.start()
    try:
        wait_until(lambda: broker.status().connected, f"connected: {broker.status()}")
        assert broker.publish(outbox_row(1))
        return [ack.accepted for ack in broker.poll_acks(10.0)] == [True]
    finally:
        broker.stop(2.0)


@pytest.mark.needs_mosquitto
@pytest.mark.usefixtures("no_leaks")
def test_mosquitto_comes_first_and_ends_with_stop() -> None:
    """Where it is installed, the demo has a real broker with MQTT 5, on loopback only, gone after the stop."""
    running = embedded.start_embedded()
    try:
        assert (running.host, running.version) == ("127.0.0.1", "5")
        assert "Mosquitto" in running.description
        assert _delivers(running)
    finally:
        running.stop()
    running.stop()
    assert not _accepts(running.port)


@pytest.mark.usefixtures("no_leaks")
def test_without_mosquitto_amqtt_steps_in_and_says_what_it_lacks(monkeypatch) -> None:
    """MQTT 3.1.1 inside this process; the description names the gaps and the remedy."""
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
    running = embedded.start_embedded()
    try:
        assert running.version == "3.1.1"
        assert "3.1.1 only" in running.description
        assert "apt install mosquitto" in running.description
        assert _delivers(running)
    finally:
        running.stop()
    assert not _accepts(running.port)


def test_without_any_broker_the_error_says_what_to_install(monkeypatch) -> None:
    """Both ways are named."""
    monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
    monkeypatch.setattr(embedded, "has_amqtt", lambda: False)
    with pytest.raises(BrokerError) as caught:
        embedded.start_embedded()
    assert "apt install mosquitto" in caught.value.action
    assert "edge-runtime[demo]" in caught.value.action


@pytest.mark.needs_mosquitto
@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_a_taken_port_is_an_error(kind, monkeypatch) -> None:
    """It is named, and nothing keeps running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if kind == "amqtt":
            monkeypatch.setattr(embedded, "find_mosquitto", lambda: None)
        with pytest.raises(BrokerError, match=str(port)):
            embedded.start_embedded(port)


def test_somebody_elses_listener_is_not_taken_for_a_broker_that_has_not_failed_yet(tmp_path) -> None:
    """However long the broker takes to find its port taken."""
    slow = tmp_path / "mosquitto"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=str(port)):
            embedded.start_mosquitto(slow, port)


@pytest.mark.needs_mosquitto
def test_the_child_dies_with_its_parent() -> None:
    """A killed demo leaves no broker behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", KILLED_PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    assert _accepts(port)
    parent.kill()
    parent.communicate()
    wait_until(lambda: not _accepts(port), "the broker gone")
