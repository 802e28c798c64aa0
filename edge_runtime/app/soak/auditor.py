"""The subscriber: counts distinct verdicts, remembers what each part got, in memory that hardly grows."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    import numpy.typing as npt

BIN_MS = 0.1
BINS = 100_000
"""Latencies up to ten seconds; the last bin holds the rest."""
SESSION_S = 86_400
RECONNECT_S = 0.1
"""A broker that comes back is to meet its subscriber soon."""
UNSEEN, PASSED, NOT_PASSED = 0, 1, 2


class Auditor:
    """An MQTT subscriber with a session that outlives a broken connection. One thread: paho's.

    That thread alone writes; everything may be read by others at any time.
    """

    def __init__(self, host: str, port: int, version: str, device: str, topic_root: str = "edge") -> None:
        self.state: str | None = None
        """The line's state as last published."""
        self.distinct = 0
        """Verdicts, each counted once."""
        self.distinct_parts = 0
        """Parts that have a verdict."""
        self.duplicates = 0
        self.subscriptions = 0
        """How often the broker accepted our subscription."""
        self.histogram: npt.NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.recent: list[float] = []
        """Latencies in ms since whoever reads them last emptied the list."""
        self.reasons: dict[str, int] = {}
        self._records = bytearray()
        self._parts = bytearray()
        self._topics = f"{topic_root}/{device}/#"
        newest = version == "5"
        protocol = MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311
        name = f"soak-{uuid.uuid4().hex[:12]}"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, name, protocol=protocol, clean_session=None if newest else False
        )
        self._client.reconnect_delay_set(RECONNECT_S, RECONNECT_S)  # type: ignore[arg-type]  # it takes fractions
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        if newest:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_S
            self._client.connect(host, port, clean_start=False, properties=properties)
        else:
            self._client.connect(host, port)
        self._client.loop_start()

    def has_record(self, sequence: int) -> bool:
        """Whether the record of this sequence arrived."""
        return sequence < len(self._records) and self._records[sequence] == 1

    def verdict(self, part: int) -> int:
        """UNSEEN, PASSED or NOT_PASSED."""
        return self._parts[part] if part < len(self._parts) else UNSEEN

    def percentile_ms(self, percent: float) -> float:
        """Of all latencies from trigger to verdict; the upper edge of its 0.1 ms."""
        total = int(self.histogram.sum())
        if total == 0:
            return float("nan")
        rank = np.searchsorted(np.cumsum(self.histogram), total * percent / 100)
        return float((int(rank) + 1) * BIN_MS)

    def close(self) -> None:
        """Disconnect and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self._topics, qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self.subscriptions += 1

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        channel = message.topic.rsplit("/", 1)[-1]
        content = json.loads(message.payload)
        if channel == "status":
            self.state = content["state"]
        elif channel in {"inspection", "event"} and not self._is_known(content["sequence"]) and channel == "inspection":
            self._count(content)

    def _is_known(self, sequence: int) -> bool:
        if self.has_record(sequence):
            self.duplicates += 1
            return True
        _set(self._records, sequence, 1)
        return False

    def _count(self, verdict: dict[str, Any]) -> None:
        self.distinct += 1
        self.distinct_parts += self.verdict(verdict["part_sequence"]) == UNSEEN
        reason = verdict["reason"]
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        _set(self._parts, verdict["part_sequence"], PASSED if verdict["disposition"] == "PASS" else NOT_PASSED)
        latency_ms = verdict["latency_ms"]
        self.histogram[min(int(latency_ms / BIN_MS), BINS - 1)] += 1
        self.recent.append(latency_ms)


def _set(values: bytearray, place: int, value: int) -> None:
    if place >= len(values):
        values.extend(bytes(place - len(values) + 65_536))
    values[place] = value
