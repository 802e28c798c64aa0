"""`[mqtt]`: the broker. No secret is ever written here or given on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edge_runtime.config.base import Settings


class TlsSettings(Settings):
    """TLS with own CA and, where the broker asks for it, a client certificate."""

    ca_file: Path | None = None
    """Certificate authorities (PEM) that may vouch for the broker. Unset: the system's."""
    certificate_file: Path | None = None
    """Client certificate (PEM). Unset: none is shown to the broker."""
    key_file: Path | None = None
    """Its private key (PEM, without a pass phrase). Unset: the key is in `certificate_file`."""
    verify_host_name: bool = True
    """The broker's certificate must name `mqtt.host`."""


class MqttSettings(Settings):
    """The MQTT connection."""

    enabled: bool = True
    """Without it verdicts stay in the ledger and nobody is told."""
    embedded: bool = False
    """Demo only: use Mosquitto from this machine or, without it, a broker inside this process."""
    host: str = "127.0.0.1"
    """Name or address of the broker."""
    port: int = Field(default=1883, ge=0, le=65_535)
    """0 with `embedded`: any free port."""
    version: Literal["5", "3.1.1"] = "5"
    """3.1.1 for old brokers. There a broker's refusal (ACL) is indistinguishable from success."""
    topic_root: str = Field(
        default="edge", pattern=r"^[^#+\s]+$", json_schema_extra={"form": "a topic without spaces, # and +"}
    )
    """Topics are `<topic_root>/<device>/inspection|status|event|rollout`, and those of `commands`."""
    commands: tuple[Literal["replay", "check_updates", "product"], ...] = ()
    """Requests that are taken at `<topic_root>/<device>/<command>`; each is recorded. None by default."""
    replay_per_s: int = Field(default=100, ge=1, le=5_000)
    """Most records per second that a `replay` sends again; new ones always go first."""
    client_id: str | None = None
    """Default: `edge-<device>`."""
    user_name: str | None = None
    """Name at the broker. Unset: anonymous."""
    password_file: Path | None = None
    """File with the password in its first line."""
    password_credential: str | None = None
    """Name of a systemd credential (LoadCredential=) with the password."""
    tls: TlsSettings | None = None
    """Unset: not encrypted. An empty table encrypts with the system's certificate authorities."""
    keepalive_s: int = Field(default=15, ge=2, le=3_600)
    """Longest silence on the connection; the broker gives up a client after one and a half times this."""
    in_flight: int = Field(default=100, ge=1, le=1_000)
    """Most rows without PUBACK at a time."""
    message_expiry_s: int | None = Field(default=None, ge=1)
    """MQTT 5: the broker drops a record that it could not deliver within this time. Unset: never."""

    @model_validator(mode="after")
    def _one_password_source(self) -> MqttSettings:
        if self.password_file is not None and self.password_credential is not None:
            message = "set either password_file or password_credential, not both"
            raise ValueError(message)
        return self
