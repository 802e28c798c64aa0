from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from ledger_records import DEVICE
from line_process import wait_until
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_runtime.broker import create
from edge_runtime.broker.encoding import encoder
from edge_runtime.bundles.delivery_files import CheckRequest
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ops.clock import SystemClock
from edge_runtime.services.check_request import CHECK_UPDATES, CheckUpdates
from edge_runtime.services.publish import PublishStage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mosquitto import Mosquitto

    from edge_runtime.domain.records import EventRecord

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.usefixtures("no_leaks")]


@contextmanager
def device(mosquitto: Mosquitto, folder: Path, *commands: str) -> Iterator[tuple[PublishStage, list[EventRecord]]]:
    """A device whose settings allow these commands, connected."""
    told: list[EventRecord] = []
    clock = SystemClock()
    settings = MqttSettings.model_validate({"port": mosquitto.port, "commands": commands})
    with closing(SqliteLedger(folder / "ledger.sqlite", DEVICE, encoder(DEVICE))) as ledger:
        broker = create(settings, DEVICE, clock)
        asked = CheckUpdates(CheckRequest(folder / "delivery").ask, told.append, clock)
        broker.start()
        try:
            wait_until(lambda: broker.status().connected, "connected")
            yield PublishStage(ledger, broker, clock, None, {CHECK_UPDATES: asked}), told
        finally:
            broker.stop(2.0)


def send(mosquitto: Mosquitto, body: bytes) -> None:
    """Somebody in the plant asks."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "plant", protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    client.publish(f"edge/{DEVICE}/{CHECK_UPDATES}", body, qos=1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def test_a_look_is_asked_for_through_a_real_broker(mosquitto, tmp_path) -> None:
    """The updater finds the request, and the record says who asked."""
    with device(mosquitto, tmp_path, CHECK_UPDATES) as (stage, told):
        send(mosquitto, b'{"who": "maria"}')
        wait_until(lambda: stage.step() or bool(told), "the request came")
    assert [event.kind for event in told] == ["update_check_asked"]
    assert told[0].attributes["who"] == "maria"
    assert CheckRequest(tmp_path / "delivery").take()


def test_nobody_listens_unless_the_settings_say_so(mosquitto, tmp_path) -> None:
    """Off by default: the topic is not even subscribed to."""
    with device(mosquitto, tmp_path) as (stage, told):
        send(mosquitto, b"{}")
        for _ in range(20):
            stage.step()
    assert told == []
    assert not CheckRequest(tmp_path / "delivery").take()
