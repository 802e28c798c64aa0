from __future__ import annotations

import pytest
from ledger_records import outbox_row
from line_process import wait_until

from edge_runtime.broker import create
from edge_runtime.broker.port import DISCONNECTED, PubAck
from edge_runtime.broker.session import Session
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ops.clock import SystemClock

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.usefixtures("no_leaks")]


@pytest.mark.parametrize("call", ["connect", "publish_status"])
def test_the_connection_outlives_a_moment_without_memory(call, mosquitto, monkeypatch, caplog) -> None:
    """Twice the system gives no memory to the connection's thread: it tries again, and a row gets its PUBACK."""
    real, refused = getattr(Session, call), []

    def short_of_memory(*arguments: object) -> object:
        if len(refused) < 2:
            refused.append(call)
            raise MemoryError
        return real(*arguments)

    monkeypatch.setattr(Session, call, short_of_memory)
    broker = create(MqttSettings(port=mosquitto.port), "line-1", SystemClock())
    broker.set_status(b"{}")
    broker.start()
    try:
        wait_until(lambda: len(refused) == 2 and broker.status().connected, "connected after two failures")

        def puback() -> PubAck:
            acks: list[PubAck] = []
            wait_until(lambda: broker.publish(outbox_row(1)), "the row is taken")
            wait_until(lambda: bool(acks.extend(broker.poll_acks(0.1)) or acks), "what became of it")
            return acks[0]

        first = puback()
        assert first.accepted or first.reason == DISCONNECTED  # the connection that was about to end had taken it
        last = first if first.accepted else puback()
        assert (last.sequence, last.accepted) == (1, True)
    finally:
        broker.stop(2.0)
        caplog.clear()  # a kept traceback keeps its connection's socket
