from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from ledger_records import DEVICE, event_record, verdict_record
from line_process import wait_until
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_runtime.broker import create
from edge_runtime.broker.encoding import encoder
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ops.clock import SystemClock
from edge_runtime.services.publish import PublishStage
from edge_runtime.services.replay import Replayer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mosquitto import Mosquitto, Received

    from edge_runtime.domain.records import EventRecord

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.usefixtures("no_leaks")]


class _Line:
    """Ledger, publish stage and broker connection of one device."""

    def __init__(self, mosquitto: Mosquitto, folder: Path, **settings: object) -> None:
        self.told: list[EventRecord] = []
        self.ledger = SqliteLedger(folder / "ledger.sqlite", DEVICE, encoder(DEVICE))
        configured = MqttSettings.model_validate({"port": mosquitto.port, **settings})
        self.broker, clock = create(configured, DEVICE, SystemClock()), SystemClock()
        replayer = Replayer(self.ledger, 5_000, self.told.append, clock) if configured.commands else None
        self.stage = PublishStage(self.ledger, self.broker, clock, replayer)
        self.broker.start()
        wait_until(lambda: self.broker.status().connected, "connected")

    def run_until(self, condition, what: str) -> None:
        """Step the stage until `condition` holds."""
        wait_until(lambda: self.stage.step() or condition(), what, 15.0)

    def close(self) -> None:
        """End everything."""
        self.broker.stop(2.0)
        self.ledger.close()


@pytest.fixture
def line(mosquitto, tmp_path, request) -> Iterator[_Line]:
    """Ten delivered records; commands as the test's parameter says."""
    with closing(_Line(mosquitto, tmp_path, **getattr(request, "param", {"commands": ["replay"]}))) as made:
        made.ledger.append([verdict_record(number) if number % 3 else event_record(number) for number in range(1, 11)])
        made.run_until(lambda: made.ledger.backlog() == 0, "everything delivered")
        yield made


def _ask(mosquitto: Mosquitto, body: bytes, *, retain: bool = False) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "historian", protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "historian/answers"
    properties.CorrelationData = b"\x2a"
    properties.UserProperty = ("client", "historian-7")
    client.publish(f"edge/{DEVICE}/replay", body, qos=1, retain=retain, properties=properties).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def _records(received: list[Received]) -> list[Received]:
    """Without the request itself, which everybody may read."""
    return [message for message in received if "sequence" in message.payload]


def test_a_subscriber_that_lost_its_disk_gets_its_records_back(mosquitto, subscribe, line) -> None:
    """Byte for byte what was published, on the same topics, marked by a property, chained by another; and recorded."""
    subscriber = subscribe(mosquitto.port)
    subscriber.received.clear()
    _ask(mosquitto, json.dumps({"from_sequence": 3, "to_sequence": 8, "who": "historian", "why": "new disk"}).encode())
    line.run_until(lambda: len(line.told) == 2, "the end of the replay")
    subscriber.wait_for(lambda got: len(_records(got)) == 6, "six records")
    previous = line.ledger.rows(2, 2, 1)[0].hash
    for message, row in zip(_records(subscriber.received), line.ledger.rows(3, 8, 10), strict=True):
        assert message.topic == f"edge/{DEVICE}/{row.channel}"
        assert message.payload == json.loads(row.payload)
        assert message.user_properties["replay"] == "true"
        previous = record_hash(previous, row.sequence, row.channel.value, row.payload)
        assert message.user_properties["recordhash"] == previous.hex()
    started, finished = line.told
    assert (started.kind, finished.kind, finished.attributes["sent"]) == ("replay_started", "replay_finished", 6)
    assert started.attributes == {
        "response_topic": "historian/answers",
        "correlation": "2a",
        "property client": "historian-7",
        "from": 3,
        "to": 8,
        "who": "historian",
        "why": "new disk",
    }


@pytest.mark.parametrize("line", [{"commands": []}], indirect=True)
def test_without_permission_nobody_listens(mosquitto, subscribe, line) -> None:
    """Off by default: the device does not even subscribe."""
    _ask(mosquitto, b'{"from_sequence": 1, "to_sequence": 8}')
    line.ledger.append([verdict_record(11)])
    line.run_until(lambda: line.ledger.backlog() == 0, "the next record")
    assert (line.broker.poll_requests(), line.told) == ([], [])


def test_a_retained_request_is_not_taken(mosquitto, line) -> None:
    """It would come again with every connection; a request is meant once."""
    _ask(mosquitto, b'{"from_sequence": 1, "to_sequence": 2}', retain=True)
    line.run_until(lambda: len(line.told) == 2, "the request itself, which was there when we listened")
    mosquitto.kill()
    mosquitto.start()
    wait_until(lambda: line.broker.status().connects == 2, "connected again")
    _ask(mosquitto, b'{"from_sequence": 3, "to_sequence": 4}')
    line.run_until(lambda: len(line.told) == 4, "the second request")
    assert [event.attributes["from"] for event in line.told] == [1, 1, 3, 3]


@pytest.mark.parametrize("line", [{"commands": ["replay"], "version": "3.1.1"}], indirect=True)
def test_an_old_broker_replays_without_the_marks(mosquitto, subscribe, line) -> None:
    """MQTT 3.1.1 has no properties: (device, sequence) tells the subscriber what it already has."""
    subscriber = subscribe(mosquitto.port, f"edge/{DEVICE}/+")
    subscriber.received.clear()
    _ask(mosquitto, b'{"from_sequence": 1, "to_sequence": 2}')
    line.run_until(lambda: len(line.told) == 2, "the end of the replay")
    subscriber.wait_for(lambda got: [m.payload["sequence"] for m in got if "sequence" in m.payload] == [1, 2], "both")
    assert "recordhash" not in subscriber.received[-1].user_properties
