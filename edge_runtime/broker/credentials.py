"""Secrets and certificates: read at the start, never from the command line, never logged."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import BrokerError

if TYPE_CHECKING:
    from edge_runtime.config.mqtt import MqttSettings, TlsSettings


def read_password(settings: MqttSettings) -> str | None:
    """The password from its file or systemd credential; None where none is configured.

    Raises:
        BrokerError: it is configured but cannot be read. The text names the place, never the content.
    """
    if settings.password_file is not None:
        return _first_line(settings.password_file, "mqtt.password_file")
    if settings.password_credential is None:
        return None
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise BrokerError(
            f"the MQTT password is to come from the systemd credential {settings.password_credential!r}, "
            "but systemd passed no credentials",
            f"Add LoadCredential={settings.password_credential}:/path/to/secret to the unit, "
            "or use mqtt.password_file when starting by hand.",
        )
    return _first_line(Path(folder, settings.password_credential), "mqtt.password_credential")


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """The TLS side of a connection: own CA, client certificate, host name.

    Raises:
        BrokerError: a file is missing or is not what it should be; names it.
    """
    _readable(settings.ca_file, "mqtt.tls.ca_file")
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise BrokerError(
            f"mqtt.tls.ca_file {settings.ca_file} holds no certificate authority: {error}",
            "Give the PEM file of the CA that signed the broker's certificate.",
        ) from error
    context.sslsocket_class = _ClosingSocket
    context.check_hostname = settings.verify_host_name
    if settings.key_file is not None and settings.certificate_file is None:
        raise BrokerError(
            "mqtt.tls.key_file is set without mqtt.tls.certificate_file", "Give both, or neither of them."
        )
    if settings.certificate_file is not None:
        _readable(settings.certificate_file, "mqtt.tls.certificate_file")
        _readable(settings.key_file, "mqtt.tls.key_file")
        try:
            # An encrypted key would make OpenSSL ask at the terminal; an empty password makes it fail instead.
            context.load_cert_chain(settings.certificate_file, settings.key_file, password="")
        except (OSError, ValueError) as error:
            raise BrokerError(
                f"the client certificate {settings.certificate_file} does not work with its key "
                f"{settings.key_file or settings.certificate_file}: {error}",
                "Give the PEM certificate and the unencrypted PEM key that belongs to it.",
            ) from error
    return context


class _ClosingSocket(ssl.SSLSocket):
    """paho loses the socket of a failed handshake without closing it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  (the base class's signature)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _first_line(path: Path, key: str) -> str:
    _readable(path, key)
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BrokerError(f"{key} {path} is not UTF-8 text", "Put the password as text into its first line.") from error
    if not lines or not lines[0]:
        raise BrokerError(f"the first line of {key} {path} is empty", "Put the password into its first line.")
    return lines[0]


def _readable(path: Path | None, key: str) -> None:
    if path is None:
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise BrokerError(
            f"{key} {path} cannot be read: {error.strerror}",
            "Check the path, and that the daemon's user may read the file.",
        ) from error
