from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from certificates import Authority
from ledger_records import DEVICE, outbox_row
from line_process import wait_until

from edge_runtime.broker import create
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.domain.errors import BrokerError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mosquitto import Mosquitto

    from edge_runtime.broker.port import Broker

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.usefixtures("no_leaks")]
SECRET = "open sesame"  # noqa: S105  (guards nothing)


@pytest.fixture
def start() -> Iterator[object]:
    """Makes started adapters; all are stopped with the test."""
    made: list[Broker] = []

    def make(mosquitto: Mosquitto, **settings: object) -> Broker:
        broker = create(MqttSettings.model_validate({"port": mosquitto.port} | settings), DEVICE, SystemClock())
        made.append(broker)
        broker.start()
        return broker

    yield make
    for broker in made:
        broker.stop(2.0)


@pytest.fixture
def with_password(make_mosquitto, tmp_path) -> Mosquitto:
    """A broker that lets only the user `line` in."""
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "line", SECRET], check=True)
    return make_mosquitto(["allow_anonymous false", f"password_file {passwords}"])


@pytest.fixture
def authority(tmp_path) -> Authority:
    """The plant's own CA."""
    return Authority(tmp_path / "ca")


@pytest.fixture
def with_tls(make_mosquitto, authority) -> Mosquitto:
    """A broker with a certificate for `localhost` that asks for a client certificate."""
    certificate, key = authority.issue("broker", "DNS:localhost")
    return make_mosquitto(
        [
            "allow_anonymous true",
            f"cafile {authority.certificate}",
            f"certfile {certificate}",
            f"keyfile {key}",
            "require_certificate true",
        ]
    )


def _delivers(broker: Broker) -> bool:
    wait_until(lambda: broker.status().connected, f"connected: {broker.status()}")
    assert broker.publish(outbox_row(1))
    return [ack.accepted for ack in broker.poll_acks(10.0)] == [True]


def _explains(broker: Broker, *words: str) -> None:
    wait_until(
        lambda: all(word in broker.status().detail for word in words), f"{words}, but: {broker.status().detail}", 10.0
    )
    assert not broker.status().connected


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_password_from_a_file_opens_the_door(with_password, start, tmp_path, version, caplog) -> None:
    """It is accepted, and appears in no log and no status."""
    caplog.set_level("DEBUG")
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    broker = start(with_password, user_name="line", password_file=secret, version=version)
    assert _delivers(broker)
    assert SECRET not in caplog.text + broker.status().detail


def test_the_password_from_a_systemd_credential_opens_the_door(with_password, start, tmp_path, monkeypatch) -> None:
    """As the unit's LoadCredential= provides it."""
    (tmp_path / "mqtt-password").write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    broker = start(with_password, user_name="line", password_credential="mqtt-password")  # noqa: S106  (a name)
    assert _delivers(broker)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_wrong_password_is_explained_and_tried_again(with_password, start, tmp_path, version) -> None:
    """The status names user and keys, never the password; the adapter does not give up."""
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    broker = start(with_password, user_name="line", password_file=secret, version=version)
    _explains(broker, "refuses user 'line'", "mqtt.user_name")
    assert "wrong" not in broker.status().detail
    attempts = with_password.log().count("not authorised")
    wait_until(lambda: with_password.log().count("not authorised") > attempts, "another attempt")


def test_own_ca_and_client_certificate(with_tls, authority, start) -> None:
    """Both sides prove who they are."""
    certificate, key = authority.issue("line-1")
    broker = start(
        with_tls,
        host="localhost",
        tls={"ca_file": authority.certificate, "certificate_file": certificate, "key_file": key},
    )
    assert _delivers(broker)
    assert "TLS" in broker.status().detail


def test_a_missing_client_certificate_is_explained(with_tls, authority, start) -> None:
    """The broker's refusal, which comes only after the handshake, leads to the key that is missing."""
    broker = start(with_tls, host="localhost", tls={"ca_file": authority.certificate})
    _explains(broker, "mqtt.tls.certificate_file")


def test_a_broker_of_an_unknown_authority_is_refused(with_tls, authority, start, tmp_path) -> None:
    """Not even with a valid client certificate do we talk to it."""
    stranger = Authority(tmp_path / "other", "other-ca")
    certificate, key = authority.issue("line-1")
    broker = start(
        with_tls,
        host="localhost",
        tls={"ca_file": stranger.certificate, "certificate_file": certificate, "key_file": key},
    )
    _explains(broker, "not accepted", "mqtt.tls.ca_file")


def test_the_host_name_is_checked_unless_told_otherwise(with_tls, authority, start) -> None:
    """The certificate is for `localhost`, not for 127.0.0.1."""
    certificate, key = authority.issue("line-1")
    tls: dict[str, object] = {
        "ca_file": authority.certificate,
        "certificate_file": certificate,
        "key_file": key,
    }
    _explains(start(with_tls, tls=tls), "not accepted", "mqtt.tls.verify_host_name")
    assert _delivers(start(with_tls, client_id="other", tls=tls | {"verify_host_name": False}))


def test_tls_towards_a_broker_without_it_is_explained(mosquitto, authority, start) -> None:
    """The wrong port: 1883 instead of 8883."""
    _explains(start(mosquitto, host="localhost", tls={"ca_file": authority.certificate}), "TLS")


def test_no_tls_towards_a_broker_with_it_is_explained(with_tls, start) -> None:
    """It closes before it accepts."""
    _explains(start(with_tls), "closed before it accepted us")


def test_a_key_of_another_certificate_is_an_error_at_the_start(authority, tmp_path: Path) -> None:
    """Nothing is tried; both files are named."""
    certificate, _ = authority.issue("line-1")
    _, key = authority.issue("line-2")
    settings = MqttSettings.model_validate({"tls": {"certificate_file": certificate, "key_file": key}})
    with pytest.raises(BrokerError, match=r"line-1\.pem.*line-2\.key"):
        create(settings, DEVICE, SystemClock()).start()


def test_an_encrypted_key_is_an_error_and_not_a_prompt(authority) -> None:
    """OpenSSL would ask at the terminal; a daemon has none."""
    certificate, key = authority.issue("line-1")
    locked = key.with_name("locked.key")
    subprocess.run(
        ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    settings = MqttSettings.model_validate({"tls": {"certificate_file": certificate, "key_file": locked}})
    with pytest.raises(BrokerError, match="locked"):
        create(settings, DEVICE, SystemClock()).start()
