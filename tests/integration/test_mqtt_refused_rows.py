from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, event_record, verdict_record
from line_process import wait_until
from mosquitto import Mosquitto, Subscriber

from edge_runtime.broker import create
from edge_runtime.broker.encoding import encoder
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ops.clock import SystemClock
from edge_runtime.services import publish
from edge_runtime.services.publish import PublishStage

if TYPE_CHECKING:
    from edge_runtime.domain.records import EventRecord, VerdictRecord

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.usefixtures("no_leaks", "mosquitto")]
ACL = "topic readwrite edge/+/inspection\ntopic readwrite edge/+/status\ntopic read #\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("allow_anonymous true", "max_packet_size 3000"), "this broker takes 3000 at most"),
        (("allow_anonymous true", "message_size_limit 2500"), "ends the connection over it"),
        (("allow_anonymous true", "acl_file {acl}"), "Not authorized"),
    ],
    ids=["too large for a packet", "too large for a message", "a topic that is denied"],
)
def test_what_a_real_broker_refuses_for_ever_is_set_apart_and_the_rest_arrives(
    lines, said, tmp_path, monkeypatch
) -> None:
    """One record in ten is too large, or goes to a denied topic: the others arrive, and nothing waits for it."""
    monkeypatch.setattr(publish, "REFUSED_PAUSE_NS", 50_000_000)
    acl = tmp_path / "acl"
    acl.write_text(ACL)
    acl.chmod(0o600)
    with ExitStack() as stack:
        mosquitto = Mosquitto(tmp_path / "broker", tuple(line.format(acl=acl) for line in lines)).start()
        stack.callback(mosquitto.stop)
        subscriber = Subscriber(mosquitto.port, "edge/+/inspection")
        stack.callback(subscriber.close)
        broker = create(MqttSettings(port=mosquitto.port), DEVICE, SystemClock())
        broker.start()
        stack.callback(broker.stop, 2.0)
        ledger = stack.enter_context(closing(SqliteLedger(tmp_path / "ledger.sqlite", DEVICE, encoder(DEVICE))))
        reasons: list[str] = []
        stage = PublishStage(ledger, broker, SystemClock(), told=lambda _, reason: reasons.append(reason))
        ledger.append([_record(number, is_denied=said == "Not authorized") for number in range(1, 31)])
        wait_until(lambda: stage.step() or stage.set_apart == 3, "three set apart", 40.0)
        wait_until(lambda: stage.step() or ledger.delivered_upto() == 30, "nothing waits for them")
        sound = set(range(1, 31)) - {3, 13, 23}
        subscriber.wait_for(lambda got: {m.payload["sequence"] for m in got} == sound, "all the others")
        assert [row.sequence for row in ledger.apart(0, 10)] == [3, 13, 23]
        assert all(said in reason for reason in reasons)
        assert broker.status().connects == 1 or "message_size_limit 2500" in lines


def _record(number: int, *, is_denied: bool) -> VerdictRecord | EventRecord:
    if number % 10 != 3:
        return verdict_record(number)
    return event_record(number) if is_denied else verdict_record(number, detail="x" * 3_500)
