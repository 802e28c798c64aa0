from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from ledger_records import DEVICE, outbox_row
from line_process import wait_until

from edge_runtime.broker import create
from edge_runtime.broker.encoding import offline_status
from edge_runtime.broker.sim import SimulatedBroker
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mosquitto import Mosquitto

    from edge_runtime.broker.port import Broker, PubAck

pytestmark = pytest.mark.needs_mosquitto
STATUS = offline_status(DEVICE, "1.0", 1_700_000_000 * 10**9, "a status")


class Rig(Protocol):
    """An adapter with the broker behind it."""

    broker: Broker

    def lose(self) -> None:
        """The broker dies."""

    def restore(self) -> None:
        """The broker is there again."""


class _Simulated:
    def __init__(self) -> None:
        self.broker = SimulatedBroker()

    def lose(self) -> None:
        self.broker.go_away()

    def restore(self) -> None:
        self.broker.come_back()


class _Mqtt:
    def __init__(self, mosquitto: Mosquitto, version: str) -> None:
        self._mosquitto = mosquitto
        settings = MqttSettings.model_validate({"port": mosquitto.port, "version": version})
        self.broker = create(settings, DEVICE, SystemClock())

    def lose(self) -> None:
        self._mosquitto.kill()

    def restore(self) -> None:
        self._mosquitto.start()


@pytest.fixture(params=["mqtt 5", "mqtt 3.1.1", "simulated"])
def rig(request) -> Iterator[Rig]:
    """Every broker adapter, not yet started."""
    made: Rig = (
        _Simulated()
        if request.param == "simulated"
        else _Mqtt(request.getfixturevalue("mosquitto"), request.param.removeprefix("mqtt "))
    )
    yield made
    made.broker.stop(2.0)


@pytest.fixture
def broker(rig) -> Broker:
    """Connected."""
    rig.broker.set_status(STATUS)
    rig.broker.start()
    _wait_connected(rig.broker)
    return rig.broker


def _wait_connected(broker: Broker) -> None:
    wait_until(lambda: broker.status().connected, f"connected: {broker.status()}")


def _wait_lost(broker: Broker) -> None:
    wait_until(lambda: not broker.status().connected, "connection lost")


def _collect(broker: Broker, count: int) -> list[PubAck]:
    acks: list[PubAck] = []
    wait_until(lambda: acks.extend(broker.poll_acks(0.1)) or len(acks) >= count, f"{count} results")
    return acks


class TestBrokerContract:
    """What every broker adapter does."""

    def test_nothing_goes_out_before_the_start(self, rig) -> None:
        """Without a connection `publish` refuses, so that the row stays in the outbox."""
        assert not rig.broker.status().connected
        assert not rig.broker.publish(outbox_row(1))
        assert list(rig.broker.poll_acks(0.0)) == []

    def test_every_row_gets_its_result_once(self, broker) -> None:
        """Accepted rows come back in order, each exactly once."""
        sent = 0
        acks: list[PubAck] = []
        while len(acks) < 300:
            while sent < 300 and broker.publish(outbox_row(sent + 1)):
                sent += 1
            acks += broker.poll_acks(0.1)
        assert [ack.sequence for ack in acks] == list(range(1, 301))
        assert all(ack.accepted for ack in acks)
        assert list(broker.poll_acks(0.05)) == []

    def test_the_window_is_bounded(self, broker) -> None:
        """A caller that never collects results is refused at some point; collecting opens the window again."""
        sent = 0
        while broker.publish(outbox_row(sent + 1)):
            sent += 1
            assert sent <= 1_000
        assert len(_collect(broker, sent)) == sent
        assert broker.publish(outbox_row(sent + 1))

    def test_a_lost_broker_refuses_and_comes_back(self, rig, broker) -> None:
        """While it is away nothing is taken over; it reconnects on its own and counts it."""
        rig.lose()
        _wait_lost(broker)
        assert not broker.publish(outbox_row(1))
        assert broker.status().detail
        rig.restore()
        _wait_connected(broker)
        assert broker.status().connects == 2
        assert broker.publish(outbox_row(1))
        assert [(ack.sequence, ack.accepted) for ack in _collect(broker, 1)] == [(1, True)]

    def test_stop_ends_it_twice(self, broker) -> None:
        """After a stop nothing is connected, nothing is taken over, and a second stop is harmless."""
        broker.stop(2.0)
        broker.stop(2.0)
        assert not broker.status().connected
        assert not broker.publish(outbox_row(1))
