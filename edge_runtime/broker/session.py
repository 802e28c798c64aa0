"""One connection with paho: from CONNECT to its end, then thrown away.

paho resends on its own what had no PUBACK when a client reconnects, and forgets it when the process ends. The outbox
does both better, so a client never lives longer than its connection: nothing is left in it that could be resent.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_runtime.broker.port import MOST_REQUEST_BYTES, Request
from edge_runtime.broker.properties import RowProperties

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from paho.mqtt.reasoncodes import ReasonCode

    from edge_runtime.config.mqtt import MqttSettings

_log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 3.0
"""For TCP, and again for the TLS handshake."""
FAILURE_CODE = 0x80
"""Reason codes from here on are refusals."""
_UNLIMITED = 65_535
"""Receive Maximum where the broker states none (MQTT 5, 3.2.2.3.3)."""
_LARGEST_PACKET_BYTES = 268_435_455
"""Where it states no Maximum Packet Size (MQTT 5, 2.1.4)."""
_HEADER_BYTES = 9
"""Of a PUBLISH beside topic and properties: type, remaining length (1 to 4 bytes), length of the topic, packet id."""

_MOST_PROPERTY_BYTES = 4_096
"""Rows' properties are shorter; so much below the limit nothing needs to be measured."""

Attributes = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection needs besides the settings."""

    client_id: str
    password: str | None
    tls: ssl.SSLContext | None
    will_topic: str
    will_payload: bytes
    will_attributes: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A PUBACK."""

    mid: int
    accepted: bool
    reason: str


class _Inbox:
    """What paho's callbacks leave behind; they run inside `pump`, so one thread reads and writes it."""

    def __init__(self, acknowledged: Callable[[Acknowledgement], None], asked: Callable[[Request], None]) -> None:
        self._acknowledged = acknowledged
        self._asked = asked
        self.connack: tuple[int, str] | None = None
        self.receive_maximum = _UNLIMITED
        self.maximum_packet_bytes = _LARGEST_PACKET_BYTES
        self.disconnect_code: int | None = None
        self.words = "connection closed or no answer"
        self.status_mid: int | None = None

    def on_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        self.connack = (code.value, str(code))
        self.receive_maximum = getattr(properties, "ReceiveMaximum", _UNLIMITED)
        self.maximum_packet_bytes = getattr(properties, "MaximumPacketSize", _LARGEST_PACKET_BYTES)

    def on_disconnect(self, _client: Any, _data: Any, flags: paho.DisconnectFlags, code: ReasonCode, _: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self.disconnect_code, self.words = code.value, str(code)

    def on_publish(self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        if mid == self.status_mid:
            self.status_mid = None
        else:
            # The code decides: paho's own is_published() is true even for a refusal.
            self._acknowledged(Acknowledgement(mid, code.value < FAILURE_CODE, str(code)))

    def on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.retain or len(message.payload) > MOST_REQUEST_BYTES:
            return
        stated = message.properties
        self._asked(
            Request(
                message.topic.rpartition("/")[2],
                bytes(message.payload),
                getattr(stated, "ResponseTopic", ""),
                getattr(stated, "CorrelationData", b""),
                tuple(getattr(stated, "UserProperty", ())),
            )
        )

    def on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: Sequence[ReasonCode], _properties: Any) -> None:
        refused = [str(code) for code in codes if code.value >= FAILURE_CODE]
        if refused:
            _log.warning("the broker does not let us listen for commands: %s", ", ".join(refused))


class _Words(logging.Handler):
    """Keeps paho's last error. Its `on_log` would format a line for every packet, errors or not."""

    def __init__(self, inbox: _Inbox) -> None:
        super().__init__(logging.ERROR)
        self._inbox = inbox

    def emit(self, record: logging.LogRecord) -> None:
        self._inbox.words = record.getMessage()


class Session:
    """One connection. All methods belong to one thread, except `publish_row`, which any one other thread may call."""

    def __init__(
        self,
        settings: MqttSettings,
        access: Access,
        acknowledged: Callable[[Acknowledgement], None],
        asked: Callable[[Request], None],
    ) -> None:
        self._settings = settings
        self._v5 = settings.version == "5"
        self._inbox = _Inbox(acknowledged, asked)
        self._client = self._build(access)

    def connect(self) -> None:
        """Open the transport and send CONNECT; `pump` brings the answer.

        Raises:
            OSError, ValueError: not reachable, TLS failed, or an impossible host name.
        """
        keepalive_s = self._settings.keepalive_s
        if self._v5:
            self._client.connect(self._settings.host, self._settings.port, keepalive_s, clean_start=True)
        else:
            self._client.connect(self._settings.host, self._settings.port, keepalive_s)

    def pump(self, timeout_s: float) -> bool:
        """Move bytes, for at most about `timeout_s`; False once the connection has ended."""
        try:
            return self._client.loop(timeout_s) == MQTTErrorCode.MQTT_ERR_SUCCESS
        except Exception as error:  # noqa: BLE001  (paho's parser lets whatever a strange peer provokes escape)
            self._inbox.words = f"the peer does not speak MQTT: {error!r}"
            return False

    @property
    def connack(self) -> tuple[int, str] | None:
        """Reason code and words of the CONNACK, once it came; below 0x80 (v3.1.1: zero) the broker accepted us."""
        return self._inbox.connack

    @property
    def window(self) -> int:
        """Most rows in flight: what is configured, what the broker allows, and one slot left for the status."""
        return max(1, min(self._settings.in_flight, self._inbox.receive_maximum - 1))

    @property
    def end(self) -> tuple[int | None, str]:
        """Reason code of the broker's DISCONNECT, if it sent one, and the reason in words."""
        return self._inbox.disconnect_code, self._inbox.words

    @property
    def status_waits(self) -> bool:
        """A published status has no PUBACK yet."""
        return self._inbox.status_mid is not None

    def publish_row(self, topic: str, payload: bytes, attributes: Attributes) -> int | None:
        """Queue one row, QoS 1; its packet id, or None if the connection is gone."""
        properties = RowProperties(attributes, self._settings.message_expiry_s) if self._v5 else None
        info = self._client.publish(topic, payload, qos=1, properties=properties)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def why_too_large(self, topic: str, payload: bytes, attributes: Attributes) -> str | None:
        """Why the broker would drop the connection over this row (MQTT 5, 3.2.2.3.6); None if it would not."""
        most = self._inbox.maximum_packet_bytes
        if len(topic.encode()) + len(payload) + _MOST_PROPERTY_BYTES + _HEADER_BYTES <= most:
            return None
        packed = RowProperties(attributes, self._settings.message_expiry_s).pack() if self._v5 else b""
        size = len(topic.encode()) + len(payload) + len(packed) + _HEADER_BYTES
        return None if size <= most else f"{size} bytes, and this broker takes {most} at most"

    def publish_status(self, topic: str, payload: bytes, attributes: Attributes) -> None:
        """Queue a retained status; call it again only after its PUBACK (`status_waits`)."""
        # With a Receive Maximum of 1 a row may already fill the window: QoS 0 does not count.
        qos = 1 if self._inbox.receive_maximum > 1 else 0
        properties = self._properties(attributes)
        info = self._client.publish(topic, payload, qos=qos, retain=True, properties=properties)
        if qos and info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._inbox.status_mid = info.mid

    def listen(self, topics: Sequence[str]) -> None:
        """Ask for the messages on these topics, QoS 1, retained ones left out where the broker can (MQTT 5)."""
        if not topics:
            return
        if self._v5:
            options = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self._client.subscribe([(topic, options) for topic in topics])
        else:
            self._client.subscribe([(topic, 1) for topic in topics])

    def disconnect(self) -> None:
        """Queue DISCONNECT: the broker forgets the will. `pump` until it returns False."""
        self._client.disconnect()

    def _build(self, access: Access) -> paho.Client:
        protocol = MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311
        client = paho.Client(
            CallbackAPIVersion.VERSION2, access.client_id, protocol=protocol, reconnect_on_failure=False
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages = 0  # unlimited: `window` counts; paho's own queue would hide rows
        if self._settings.user_name is not None:
            client.username_pw_set(self._settings.user_name, access.password)
        if access.tls is not None:
            client.tls_set_context(access.tls)
        client.will_set(
            access.will_topic,
            access.will_payload,
            qos=1,
            retain=True,
            properties=self._properties(list(access.will_attributes), PacketTypes.WILLMESSAGE),
        )
        client.on_connect = self._inbox.on_connect
        client.on_disconnect = self._inbox.on_disconnect
        client.on_publish = self._inbox.on_publish
        client.on_message = self._inbox.on_message
        client.on_subscribe = self._inbox.on_subscribe
        log = logging.Logger("paho", logging.ERROR)  # noqa: LOG001  (of this client alone)
        log.addHandler(_Words(self._inbox))
        client.enable_logger(log)
        # With this set, publish() only queues and wakes the loop: one thread alone writes to the socket.
        client.on_socket_register_write = lambda _client, _data, _socket: None
        return client

    def _properties(self, attributes: Attributes, packet: int = PacketTypes.PUBLISH) -> Properties | None:
        if not self._v5:
            return None
        properties = Properties(packet)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        properties.PayloadFormatIndicator = 1
        properties.UserProperty = attributes
        return properties
