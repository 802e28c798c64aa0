"""What may be asked of a device over MQTT, where `mqtt.commands` allows it: JSON in UTF-8."""

from __future__ import annotations

from pydantic import Field

from edge_runtime.broker.messages import Wire


class DeviceRequest(Wire):
    """What every request may say of itself; none of it is proved."""

    who: str = Field(default="", max_length=200)
    """Who asks; recorded."""
    why: str = Field(default="", max_length=500)
    """Recorded."""


class ReplayRequest(DeviceRequest):
    """Asks for records once more: sent to `<root>/<device>/replay`, where `mqtt.commands` allows it.

    They come on their own topics, the payload byte for byte as it was, the user property `replay` added. Events
    `replay_started`, `replay_finished` and `replay_refused` say what becomes of the request.
    """

    from_sequence: int = Field(ge=1)
    """First record."""
    to_sequence: int = Field(ge=1)
    """Last record, included."""


class CheckUpdatesRequest(DeviceRequest):
    """Asks for a look into the release repository now: sent to `<root>/<device>/check_updates`.

    Taken where `mqtt.commands` allows it. It carries no address and no trust: the device looks where its own
    configuration says, and takes what is signed. The events `update_check_asked` and `update_check_refused` say
    what becomes of it, `update_taken` and `update_refused` what came of the check.
    """


class ProductRequest(DeviceRequest):
    """Says which product comes next: sent to `<root>/<device>/product`, where `mqtt.commands` allows it.

    Events `product_asked` and `product_changed`, or `product_unknown` and `product_refused`, say what becomes of it;
    the status names the model that decides.
    """

    code: str = Field(min_length=1, max_length=100)
    """One of `products.codes`. Any other stops the inspection: every part gets the fail-safe."""
