"""The command `product`: somebody says over MQTT which product comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_runtime.broker.requests import ProductRequest
from edge_runtime.domain.text import writable
from edge_runtime.services.asked import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.port import Request
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.product_switch import ProductSwitch

PRODUCT: Final = "product"
MOST_CHANGES: Final = 120
"""So many changes per minute are listened to."""


class ProductCommand:
    """Takes such requests, and records each. Used by the publish thread alone."""

    def __init__(self, switch: ProductSwitch, record: Callable[[EventRecord], None], clock: Clock) -> None:
        self._switch = switch
        self._intake = Intake(ProductRequest, "product_refused", record, clock, MOST_CHANGES)

    def __call__(self, request: Request) -> None:
        """Take a request. A code that is not in the configuration stops the inspection, as from any source."""
        taken = self._intake.read(request)
        if taken is None:
            return
        wanted, said = taken
        product = self._switch.ask(writable(wanted.code), "MQTT")
        text = f"product code {writable(wanted.code)!r}: {product or 'unknown, nothing is inspected'}"
        self._intake.tell("product_asked", "info" if product else "error", text, said)
