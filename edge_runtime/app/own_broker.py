"""`mqtt.embedded`: a line that brings its broker along, for demonstrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.app.running import LineSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.embedded import EmbeddedBroker
    from edge_runtime.config.line import LineConfig


def with_its_broker(source: LineSource, at_the_end: Callable[[Callable[[], None]], object]) -> LineSource:
    """The same line, connected to a broker that was started for it; as it is where it wants none.

    Args:
        source: of the line.
        at_the_end: is given what ends the broker, to be called after the line has ended.

    Raises:
        BrokerError: none is installed, or it does not start.
    """
    mqtt = source.config.mqtt
    if not (mqtt.enabled and mqtt.embedded):
        return source
    from edge_runtime.broker.embedded import start_embedded  # noqa: PLC0415  (no line in production has one)

    broker = start_embedded(mqtt.port)
    at_the_end(broker.stop)

    def reload() -> LineConfig:
        config = source.reload()
        return connected(config, broker) if config.mqtt == mqtt else config  # else somebody changed it

    return LineSource(connected(source.config, broker), reload)


def connected(config: LineConfig, broker: EmbeddedBroker) -> LineConfig:
    """The configuration with this broker's address."""
    mqtt = config.mqtt.model_copy(update={"host": broker.host, "port": broker.port, "version": broker.version})
    return config.model_copy(update={"mqtt": mqtt})
