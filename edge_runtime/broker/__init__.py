"""The MQTT broker: wire messages, connection, twin, and the embedded one of the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.broker.port import Broker
    from edge_runtime.config.mqtt import MqttSettings
    from edge_runtime.ops.clock import Clock


def create(settings: MqttSettings, device: str, clock: Clock) -> Broker:
    """The broker connection of one device; nothing happens before `start`."""
    from edge_runtime.broker.mqtt import MqttBroker  # noqa: PLC0415  (adapters are imported when wanted)

    return MqttBroker(settings, device, clock)
