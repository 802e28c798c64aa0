"""The doctor's own connection to the broker: the line's user, password and certificates, but none of its topics.

Not the line's `MqttBroker`: that one leaves a retained `offline` behind at its goodbye, and the daemon may be running.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge_runtime.app.doctor import Finding, State
from edge_runtime.broker.credentials import read_password, tls_context
from edge_runtime.broker.refusals import why_lost, why_refused, why_unreachable

if TYPE_CHECKING:
    from typing import Any

    from paho.mqtt.reasoncodes import ReasonCode

    from edge_runtime.config.mqtt import MqttSettings
    from edge_runtime.ops.clock import Clock

_PATIENCE_NS = 2_000_000_000
_CONNECT_S = 1.5
_LOOP_S = 0.05


def connect_once(settings: MqttSettings, device: str, clock: Clock) -> Finding:
    """Connect, wait for the broker's answer, disconnect. Publishes nothing and leaves no will.

    Raises:
        BrokerError: a password or certificate cannot be read.
    """
    answers: list[tuple[int, str]] = []

    def on_connect(_client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        answers.append((code.value, str(code)))

    client = _client(settings, device)
    client.on_connect = on_connect
    try:
        client.connect(settings.host, settings.port)
    except (OSError, ValueError) as error:  # ValueError: an impossible host name
        return _error(why_unreachable(settings, error))
    until_ns = clock.monotonic_ns() + _PATIENCE_NS
    alive = True
    while alive and not answers and clock.monotonic_ns() < until_ns:
        alive = client.loop(_LOOP_S) == MQTTErrorCode.MQTT_ERR_SUCCESS
    client.disconnect()
    client.loop(_LOOP_S)
    if not answers:
        return _error(why_lost(settings, None, "no answer to CONNECT", accepted=False))
    code, words = answers[0]
    if code != 0:
        return _error(why_refused(settings, code, words))
    security = "unencrypted" if settings.tls is None else "TLS"
    return Finding(
        "broker", State.OK, f"{settings.host}:{settings.port} accepts us: MQTT {settings.version}, {security}"
    )


def _client(settings: MqttSettings, device: str) -> paho.Client:
    # A name of our own: with the daemon's the broker would throw the daemon out.
    name = f"{settings.client_id or f'edge-{device}'}-doctor-{os.getpid()}"
    protocol = MQTTProtocolVersion.MQTTv5 if settings.version == "5" else MQTTProtocolVersion.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=protocol, reconnect_on_failure=False)
    client.connect_timeout = _CONNECT_S
    if settings.user_name is not None:
        client.username_pw_set(settings.user_name, read_password(settings))
    if settings.tls is not None:
        client.tls_set_context(tls_context(settings.tls))
    return client


def _error(detail: str) -> Finding:
    what, _, action = detail.rpartition(": ")
    return Finding("broker", State.ERROR, what, f"{action[:1].upper()}{action[1:]}.")
