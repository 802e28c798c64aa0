from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, outbox_row, verdict_record
from line_process import wait_until

from edge_runtime.broker import create
from edge_runtime.broker.encoding import encoder, offline_status
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ops.clock import SystemClock
from edge_runtime.services.publish import PublishStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mosquitto import Mosquitto

    from edge_runtime.broker.port import Broker, PubAck

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.usefixtures("no_leaks")]
STATUS = offline_status(DEVICE, "1.0", 1_700_000_000 * 10**9, "a status")
CHILD = """
import sys, time
from edge_runtime.broker import create
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ops.clock import SystemClock
broker = create(MqttSettings(port=int(sys.argv[1])), "line-1", SystemClock())
broker.set_status(sys.argv[2].encode())
broker.start()
sys.stdin.read()
"""


@pytest.fixture
def connect() -> Iterator[object]:
    """Makes started and connected adapters; all are stopped with the test."""
    made: list[Broker] = []

    def make(mosquitto: Mosquitto, **settings: object) -> Broker:
        broker = create(MqttSettings.model_validate({"port": mosquitto.port} | settings), DEVICE, SystemClock())
        made.append(broker)
        broker.set_status(STATUS)
        broker.start()
        wait_until(lambda: broker.status().connected, f"connected: {broker.status()}")
        return broker

    yield make
    for broker in made:
        broker.stop(2.0)


def _results(broker: Broker, count: int) -> Sequence[PubAck]:
    acks: list[PubAck] = []
    wait_until(lambda: acks.extend(broker.poll_acks(0.1)) or len(acks) >= count, f"{count} results")
    return acks


def test_a_subscriber_gets_the_row_with_its_attributes(mosquitto, subscribe, connect) -> None:
    """Payload byte for byte, topic by channel, CloudEvents attributes, content type and expiry; nothing is retained."""
    subscriber = subscribe(mosquitto.port)
    broker = connect(mosquitto, message_expiry_s=600)
    assert broker.publish(outbox_row(1))
    assert [(ack.sequence, ack.accepted) for ack in _results(broker, 1)] == [(1, True)]
    subscriber.wait_for(lambda got: any(m.topic == "edge/line-1/inspection" for m in got), "the inspection")
    [message] = [m for m in subscriber.received if m.topic == "edge/line-1/inspection"]
    assert message.payload["part_id"] == "part-1"
    assert not message.retained
    assert message.content_type == "application/json"
    assert 0 < message.expiry_s <= 600
    assert message.user_properties["type"] == "edge_runtime.inspection.v1"
    assert message.user_properties["id"] == "line-1/1"


def test_nobody_listening_is_still_accepted(mosquitto, connect) -> None:
    """Reason code 0x10, "no matching subscribers", is below 0x80."""
    broker = connect(mosquitto)
    broker.publish(outbox_row(1))
    [ack] = _results(broker, 1)
    assert ack.accepted
    assert "subscribers" in ack.reason


def test_a_denied_publish_is_not_accepted(make_mosquitto, tmp_path, connect) -> None:
    """The broker's access rules deny the topic: the PUBACK's reason code says so, and the row stays unsent."""
    rules = tmp_path / "rules"
    rules.write_text("topic write edge/line-1/status\ntopic write edge/line-1/event\n")
    broker = connect(make_mosquitto(["allow_anonymous true", f"acl_file {rules}"]))
    broker.publish(outbox_row(1))
    [ack] = _results(broker, 1)
    assert (ack.sequence, ack.accepted, ack.reason) == (1, False, "Not authorized")


def test_a_busy_connection_never_exceeds_what_the_broker_allows(make_mosquitto, connect) -> None:
    """Mosquitto allows 20 in flight; with a window of 100 configured, it never has to end the connection over it."""
    mosquitto = make_mosquitto(["allow_anonymous true", "max_inflight_messages 5"])
    broker = connect(mosquitto, in_flight=1_000)
    sent = 0
    acks: list[PubAck] = []
    while len(acks) < 500:
        while sent < 500 and broker.publish(outbox_row(sent + 1)):
            sent += 1
            if sent % 50 == 0:
                broker.set_status(offline_status(DEVICE, "1.0", sent, "in between"))
        acks += broker.poll_acks(0.1)
    assert all(ack.accepted for ack in acks)
    assert broker.status().connects == 1


def test_rows_in_flight_at_a_kill_come_back_once_and_are_not_resent_by_the_library(
    mosquitto, subscribe, connect
) -> None:
    """The outbox alone decides what is sent again: what nobody hands over again is not delivered again."""
    broker = connect(mosquitto)
    os.kill(mosquitto.pid, signal.SIGSTOP)  # alive for TCP, silent for MQTT
    sent = 0
    while broker.publish(outbox_row(sent + 1)):
        sent += 1
    mosquitto.kill()
    lost = _results(broker, sent)
    assert [(ack.sequence, ack.accepted, ack.reason) for ack in lost] == [
        (number, False, "disconnected") for number in range(1, sent + 1)
    ]
    mosquitto.start()
    subscriber = subscribe(mosquitto.port)
    wait_until(lambda: broker.status().connects == 2, "connected again")
    assert broker.publish(outbox_row(1_000))
    assert [ack.sequence for ack in _results(broker, 1)] == [1_000]
    subscriber.wait_for(lambda got: any(m.payload.get("sequence") == 1_000 for m in got), "the new row")
    assert [m.payload["sequence"] for m in subscriber.received if "sequence" in m.payload] == [1_000]


def test_every_committed_verdict_arrives_over_broker_kills(mosquitto, subscribe, connect, tmp_path) -> None:
    """Ledger, publish stage and a broker that dies three times: a persistent subscriber ends up with every sequence."""
    subscriber = subscribe(mosquitto.port, "edge/+/inspection")
    broker = connect(mosquitto)
    with closing(SqliteLedger(tmp_path / "ledger.sqlite", DEVICE, encoder(DEVICE))) as ledger:
        stage = PublishStage(ledger, broker, SystemClock())
        for number in range(1, 601):
            ledger.append([verdict_record(number)])
            stage.step()
            if number in {150, 300, 450}:
                mosquitto.kill()
                mosquitto.start()
        wait_until(lambda: stage.step() or ledger.backlog() == 0, "an empty outbox")
    subscriber.wait_for(
        lambda got: {m.payload["sequence"] for m in got} == set(range(1, 601)), "every sequence at the subscriber"
    )


def test_the_will_says_offline_when_the_process_is_killed(mosquitto, subscribe) -> None:
    """No goodbye: the broker publishes the retained status for us."""
    subscriber = subscribe(mosquitto.port)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(mosquitto.port), STATUS.decode()], stdin=subprocess.PIPE)
    try:
        subscriber.wait_for(lambda got: any(m.payload["detail"] == "a status" for m in got), "the status")
    finally:
        child.kill()
        child.communicate()
    subscriber.wait_for(lambda got: "without a goodbye" in got[-1].payload["detail"], "the will")
    will = subscriber.received[-1]
    assert (will.topic, will.payload["state"], will.payload["ready"]) == ("edge/line-1/status", "offline", False)
    assert will.content_type == "application/json"
    late = subscribe(mosquitto.port)
    late.wait_for(lambda got: bool(got) and got[0].retained, "the retained status")
    assert late.received[0].payload == will.payload


def test_the_newest_status_follows_every_connect(mosquitto, subscribe, connect) -> None:
    """A broker that forgot what it retained has the newest status again as soon as it is back."""
    broker = connect(mosquitto)
    newest = offline_status(DEVICE, "1.0", 1, "newest")
    broker.set_status(newest)
    subscriber = subscribe(mosquitto.port)
    subscriber.wait_for(lambda got: any(m.payload["detail"] == "newest" for m in got), "the newest status")
    mosquitto.kill()
    mosquitto.forget()
    mosquitto.start()
    wait_until(lambda: broker.status().connects == 2, "connected again")
    late = subscribe(mosquitto.port)
    late.wait_for(lambda got: [m.payload["detail"] for m in got] == ["newest"], "the status after the restart")


def test_a_clean_stop_leaves_offline_behind(mosquitto, subscribe, connect) -> None:
    """The retained status is offline with the reason, all rows handed over before got their PUBACK, no will is sent."""
    broker = connect(mosquitto)
    subscriber = subscribe(mosquitto.port)
    for number in range(1, 11):
        assert broker.publish(outbox_row(number))
    broker.stop(5.0)
    subscriber.wait_for(lambda got: any(m.payload.get("detail") == "stopped" for m in got), "offline")
    assert subscriber.received[-1].topic == "edge/line-1/status"
    assert [ack.sequence for ack in broker.poll_acks(0.0) if ack.accepted] == list(range(1, 11))
    assert [status["detail"] for status in subscriber.statuses()] == ["a status", "stopped"]


def test_a_second_device_with_our_name_is_noticed(mosquitto, connect) -> None:
    """The status names the cause: two clients with one id push each other out."""
    first = connect(mosquitto)
    second = create(MqttSettings(port=mosquitto.port), DEVICE, SystemClock())
    second.start()
    try:
        seen: list[str] = []
        wait_until(
            lambda: seen.append(first.status().detail) or any("device.name" in text for text in seen), "the cause", 10.0
        )
    finally:
        second.stop(2.0)
