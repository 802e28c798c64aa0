"""Settings of `[updates]` that contradict others, or work and are probably not meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.finding import finding
from edge_runtime.config.plc import GpioSettings, SerialRelaySettings
from edge_runtime.config.signal_lamp import GpioSignalSettings, RelaySignalSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.finding import Finding
    from edge_runtime.config.line import LineConfig


def update_contradictions(config: LineConfig) -> Iterator[Finding]:
    """Errors between keys that are each fine."""
    updates, plc, signal = config.updates, config.plc, config.updates.signal
    if updates.ota is not None and config.bundle.product is None:
        yield finding(
            "brings signed releases, and this line runs the file in bundle.path: name its product in bundle.product",
            "updates.ota",
            "bundle.path",
        )
    if "check_updates" in config.mqtt.commands and updates.ota is None:
        yield finding('"check_updates" needs [updates.ota], where to look', "mqtt.commands", "updates.ota")
    match signal, plc:
        case GpioSignalSettings(), GpioSettings() if (signal.chip, signal.line) == (plc.chip, plc.line):
            yield finding("is the line that works the ejector", "updates.signal.line", "plc.line")
        case RelaySignalSettings(), SerialRelaySettings() if signal.device == plc.device:
            yield finding(
                "is the board that works the ejector: a lamp needs another board, an LED or a GPIO line",
                "updates.signal.device",
                "plc.device",
            )


def update_doubts(config: LineConfig) -> Iterator[Finding]:
    """What works as configured, and is probably not meant."""
    ota = config.updates.ota
    if ota is not None and ota.url.startswith("http:"):
        yield finding(
            "not encrypted: nobody can alter a release, but anybody on the way can read it or hold it back",
            "updates.ota.url",
        )
