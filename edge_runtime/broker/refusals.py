"""Why there is no connection, in words a technician can act on."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.config.mqtt import MqttSettings

_CONNACK: dict[int, str] = {
    0x84: 'it does not speak this protocol version: set mqtt.version = "3.1.1"',
    0x85: "it does not accept the client id: set mqtt.client_id",
    0x86: "user name or password is wrong: check mqtt.user_name and the password file or credential",
    0x87: "not authorized: check mqtt.user_name, the password file or credential, and the broker's access rules",
    0x88: "it is not available: try again later, look at the broker's log",
    0x89: "it is busy: look at the broker's load",
    0x8A: "this client is banned: ask the broker's administrator",
    0x9F: "too many connections in a short time: look for a second device with the same name",
}
_SESSION_TAKEN_OVER = 0x8E


def why_unreachable(settings: MqttSettings, error: Exception) -> str:
    """What an exception while connecting means and what to do."""
    place = f"{settings.host}:{settings.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{place}: the broker's certificate is not accepted ({error.verify_message}): {_certificate_hint(error)}"
    if isinstance(error, ssl.SSLError) or (isinstance(error, ConnectionResetError) and settings.tls is not None):
        return (
            f"{place}: TLS fails ({error}): check that this port speaks TLS, and whether the "
            "broker asks for a client certificate (mqtt.tls.certificate_file)"
        )
    if isinstance(error, socket.gaierror):
        return f"{settings.host}: this name cannot be resolved: check mqtt.host and the DNS"
    if isinstance(error, ConnectionRefusedError):
        return f"{place}: nothing listens there: start the broker, or check mqtt.host and mqtt.port"
    if isinstance(error, TimeoutError):
        return f"{place}: no answer: check the cable, the address and the firewall"
    return f"{place}: {error}: check the network"


def why_refused(settings: MqttSettings, code: int, words: str) -> str:
    """What the reason code of a CONNACK means and what to do."""
    who = f" user {settings.user_name!r}" if settings.user_name else ""
    hint = _CONNACK.get(code, "look at the broker's log")
    return f"{settings.host}:{settings.port} refuses{who} ({words}): {hint}"


def why_lost(settings: MqttSettings, code: int | None, words: str, *, accepted: bool, soon_lost: int = 0) -> str:
    """What the end of a connection means.

    Args:
        settings: where to.
        code: reason code of the broker's DISCONNECT; None if it sent none.
        words: the reason as the client library has it.
        accepted: the broker had accepted us before.
        soon_lost: how many connections in a row were accepted and lost again within seconds, this one included.
    """
    place = f"{settings.host}:{settings.port}"
    if code == _SESSION_TAKEN_OVER:
        return f"{place}: another client connected with our client id: give each device its own device.name"
    if code is not None:
        return f"{place}: the broker ended the connection ({words}): look at its log"
    if accepted:
        hint = ""
        if soon_lost > 1:  # not every broker says that the session was taken over
            hint = (
                f"; accepted and soon lost {soon_lost} times in a row: look at its log, and whether another client "
                "uses the same client id (each device needs its own device.name)"
            )
        return f"{place}: connection lost ({words}){hint}"
    tls = "" if settings.tls is None else ", whether it asks for a client certificate (mqtt.tls.certificate_file)"
    version = ', or whether it only knows version 3.1.1 (mqtt.version = "3.1.1")' if settings.version == "5" else ""
    return f"{place}: closed before it accepted us ({words}): check that it is an MQTT broker{tls}{version}"


def _certificate_hint(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.lower()
    if "hostname" in message or "ip address" in message:
        return "use the host name that is in the certificate as mqtt.host, or set mqtt.tls.verify_host_name = false"
    if "expired" in message or "not yet valid" in message:
        return "renew it, and check this device's clock"
    return "give the CA that signed it as mqtt.tls.ca_file"
