from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_records import DEVICE, outbox_row

from edge_runtime.broker import create
from edge_runtime.broker.backoff import FIRST_NS, LONGEST_NS, backoff_ns
from edge_runtime.broker.cloudevents import attributes
from edge_runtime.broker.credentials import read_password
from edge_runtime.broker.refusals import why_lost, why_refused, why_unreachable
from edge_runtime.broker.sim import SimulatedBroker
from edge_runtime.config.mqtt import MqttSettings, TlsSettings
from edge_runtime.domain.errors import BrokerError
from edge_runtime.ops.clock import SystemClock

SETTINGS = MqttSettings(host="broker.plant", port=8883, user_name="line")


@given(failures=st.integers(0, 10_000), draw=st.floats(0, 1))
def test_the_backoff_is_bounded(failures: int, draw: float) -> None:
    """Never in a tight loop, never for ever, and never longer after fewer failures."""
    assert FIRST_NS // 2 <= backoff_ns(failures, draw) <= LONGEST_NS
    assert backoff_ns(failures, draw) <= backoff_ns(failures + 1, draw)


def test_the_password_is_the_first_line(tmp_path) -> None:
    """An editor's final newline does not belong to it; other white space does."""
    secret = tmp_path / "secret"
    secret.write_text(" pass word \nsecond line\n")
    assert read_password(MqttSettings(password_file=secret)) == " pass word "


def test_a_systemd_credential_is_read_from_its_folder(tmp_path, monkeypatch) -> None:
    """As LoadCredential= hands it over."""
    (tmp_path / "mqtt").write_text("secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password(MqttSettings(password_credential="mqtt")) == "secret"  # noqa: S106  (a name)


def test_a_credential_without_systemd_says_what_to_do(monkeypatch) -> None:
    """Started by hand, there is no credentials folder."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(BrokerError) as caught:
        read_password(MqttSettings(password_credential="mqtt"))  # noqa: S106  (a name)
    assert "LoadCredential=mqtt" in caught.value.action


@pytest.mark.parametrize("content", ["", "\nsecond"])
def test_an_empty_password_file_is_named(tmp_path, content) -> None:
    """An empty first line is a mistake, not a password."""
    secret = tmp_path / "secret"
    secret.write_text(content)
    with pytest.raises(BrokerError, match="secret"):
        read_password(MqttSettings(password_file=secret))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (MqttSettings(password_file=Path("/nowhere/password")), "mqtt.password_file /nowhere/password"),
        (MqttSettings(tls=TlsSettings(ca_file=Path("/nowhere/ca.pem"))), "mqtt.tls.ca_file /nowhere/ca.pem"),
        (MqttSettings(tls=TlsSettings(key_file=Path("/nowhere/key.pem"))), "without mqtt.tls.certificate_file"),
        (
            MqttSettings(tls=TlsSettings(certificate_file=Path("/nowhere/client.pem"))),
            "mqtt.tls.certificate_file /nowhere/client.pem",
        ),
    ],
)
def test_what_can_never_work_is_an_error_at_the_start(settings, named) -> None:
    """A missing file is named with its key, before any connection is tried."""
    with pytest.raises(BrokerError, match=named):
        create(settings, DEVICE, SystemClock()).start()


def test_a_ca_file_without_a_certificate_is_named(tmp_path) -> None:
    """Not a stack trace of OpenSSL."""
    (tmp_path / "ca.pem").write_text("hello")
    settings = MqttSettings(tls=TlsSettings(ca_file=tmp_path / "ca.pem"))
    with pytest.raises(BrokerError, match="no certificate authority"):
        create(settings, DEVICE, SystemClock()).start()


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ConnectionRefusedError(111, "refused"), "start the broker"),
        (socket.gaierror(-2, "unknown"), "cannot be resolved"),
        (TimeoutError(), "firewall"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "speaks TLS"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
    ],
)
def test_an_unreachable_broker_is_explained(error, hint) -> None:
    """Where to, what happened, what to look at."""
    text = why_unreachable(SETTINGS, error)
    assert "broker.plant" in text
    assert hint in text


@pytest.mark.parametrize(("code", "hint"), [(0x84, "3.1.1"), (0x86, "password"), (0x87, "password"), (0x99, "log")])
def test_a_refusal_is_explained(code, hint) -> None:
    """Every reason code leads to something to do, known or not."""
    assert hint in why_refused(SETTINGS, code, "words")


def test_two_devices_with_one_name_are_told_apart() -> None:
    """The reason code says that another client took the session over."""
    assert "device.name" in why_lost(SETTINGS, 0x8E, "Session taken over", accepted=True)


def test_cloud_events_attributes_identify_the_record() -> None:
    """`source` and `id` together are unique, as CloudEvents demands; `time` is the payload's."""
    assert dict(attributes(outbox_row(7), "edge", DEVICE)) == {
        "specversion": "1.0",
        "id": "line-1/7",
        "source": "/edge/line-1",
        "type": "edge_runtime.inspection.v1",
        "time": "2023-11-14T22:13:20.123456Z",
    }


def test_the_twin_refuses_and_mends() -> None:
    """A refused row is not at the subscriber; accepted later, it is there once."""
    broker = SimulatedBroker()
    broker.start()
    broker.refuse("Not authorized")
    assert broker.publish(outbox_row(1))
    assert [(ack.accepted, ack.reason) for ack in broker.poll_acks(1.0)] == [(False, "Not authorized")]
    assert broker.received == []
    broker.refuse(None)
    assert broker.publish(outbox_row(1))
    assert [ack.accepted for ack in broker.poll_acks(1.0)] == [True]
    assert broker.received == [outbox_row(1)]


@pytest.mark.parametrize("delivered", [False, True])
def test_the_twin_loses_what_is_in_flight(delivered) -> None:
    """Each row in flight comes back once as disconnected, whether the broker had got it or only its PUBACK was lost."""
    broker = SimulatedBroker(window=3)
    broker.start()
    broker.hold()
    assert [broker.publish(outbox_row(number)) for number in (1, 2, 3, 4)] == [True, True, True, False]
    broker.go_away(after_delivery=delivered)
    assert [(ack.sequence, ack.accepted, ack.reason) for ack in broker.poll_acks(1.0)] == [
        (number, False, "disconnected") for number in (1, 2, 3)
    ]
    assert len(broker.received) == (3 if delivered else 0)
    broker.come_back()
    broker.release()
    assert list(broker.poll_acks(0.0)) == []


def test_the_twin_keeps_the_status_for_every_connect() -> None:
    """As the real one, it publishes the newest status again."""
    broker = SimulatedBroker()
    broker.set_status(b"old")
    broker.set_status(b"new")
    broker.start()
    broker.go_away()
    broker.come_back()
    assert broker.statuses == [b"new", b"new"]
