"""A real Mosquitto for tests: own configuration, loopback, killed and restarted at will; and a subscriber to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest
from line_process import free_port, wait_until
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_runtime.broker.embedded import find_mosquitto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
WAIT_S = 60.0


def require_mosquitto() -> None:
    """Skip where the broker is not installed; in CI that is a failure."""
    if find_mosquitto() is None:
        reason = "mosquitto is not installed (apt install mosquitto)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class Mosquitto:
    """One broker process. Its persistence is on and saved at every change, so a killed one remembers."""

    def __init__(self, folder: Path, lines: Sequence[str] = ("allow_anonymous true",)) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            "\n".join(
                [
                    f"listener {self.port} {HOST}",
                    f"user {os.environ.get('USER', 'root') if os.geteuid() else 'root'}",
                    "persistence true",
                    f"persistence_location {folder}/",
                    "autosave_on_changes true",
                    "autosave_interval 1",
                    f"log_dest file {folder / 'mosquitto.log'}",
                    *lines,
                    "",
                ]
            )
        )

    def start(self) -> Mosquitto:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen([str(find_mosquitto()), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(self._listens, f"mosquitto on port {self.port}: {self.log()}", WAIT_S)
        return self

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def forget(self) -> None:
        """Lose everything that was saved, as a broker with a fresh disk."""
        (self._folder / "mosquitto.db").unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it wrote."""
        log = self._folder / "mosquitto.log"
        return log.read_text() if log.exists() else ""

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto does not start: {self.log()}"
        try:
            socket.create_connection((HOST, self.port), 1.0).close()
        except OSError:
            return False
        return True


class Received:
    """One message at a subscriber."""

    def __init__(self, message: paho.MQTTMessage) -> None:
        self.topic = message.topic
        self.payload: dict[str, Any] = json.loads(message.payload)
        self.retained = message.retain
        properties = message.properties
        self.content_type = getattr(properties, "ContentType", None)
        self.expiry_s = getattr(properties, "MessageExpiryInterval", None)
        self.user_properties: dict[str, str] = dict(getattr(properties, "UserProperty", []))


class Subscriber:
    """An MQTT 5 subscriber with a persistent session; it reconnects on its own."""

    def __init__(
        self, port: int, topic: str = "edge/#", *, user: tuple[str, str] | None = None, client_id: str = "auditor"
    ) -> None:
        self.received: list[Received] = []
        self._subscribed = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.on_message = lambda _client, _data, message: self.received.append(Received(message))
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.reconnect_delay_set(1, 1)
        if user is not None:
            client.username_pw_set(*user)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3_600
        client.connect(HOST, port, clean_start=False, properties=properties)
        client.loop_start()
        self._client = client
        assert self._subscribed.wait(WAIT_S)

    def wait_for(self, condition: Callable[[list[Received]], bool], what: str) -> None:
        """Until what was received fulfils `condition`."""
        wait_until(lambda: condition(self.received), f"{what}; got {[m.payload for m in self.received[-3:]]}", WAIT_S)

    def statuses(self) -> list[dict[str, Any]]:
        """Payloads on the status topic."""
        return [message.payload for message in self.received if message.topic.endswith("/status")]

    def close(self) -> None:
        """End its thread."""
        self._client.disconnect()
        self._client.loop_stop()
        del self._client  # its callbacks hold us: without this its sockets would wait for the garbage collector
