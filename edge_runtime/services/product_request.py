"""The command `product`: somebody says over MQTT which product comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from edge_runtime.broker.requests import ProductRequest
from edge_runtime.domain.records import EventRecord
from edge_runtime.domain.text import writable
from edge_runtime.services.asked import about, first_mistake
from edge_runtime.services.queues import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.port import Request
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.asked import Attributes
    from edge_runtime.services.product_switch import ProductSwitch

PRODUCT: Final = "product"
MOST_REQUESTS: Final = 120
INTERVAL_NS: Final = 60_000_000_000
"""So many changes per minute are listened to."""


class ProductCommand:
    """Takes such requests, and records each. Used by the publish thread alone."""

    def __init__(self, switch: ProductSwitch, record: Callable[[EventRecord], None], clock: Clock) -> None:
        self._switch = switch
        self._record = record
        self._clock = clock
        self._allowance = Allowance(MOST_REQUESTS, INTERVAL_NS)

    def __call__(self, request: Request) -> None:
        """Take a request. A code that is not in the configuration stops the inspection, as from any source."""
        held_back = self._allowance.ask(request.command, self._clock.monotonic_ns())
        if held_back is None:
            return
        said = about(request)
        if held_back:
            said["requests_ignored_before"] = held_back
        try:
            wanted = ProductRequest.model_validate_json(request.payload)
        except ValidationError as error:
            self._tell("product_refused", "warning", f"no product code: {first_mistake(error)}", said)
            return
        said |= {"who": writable(wanted.who) or "not stated", "why": writable(wanted.why) or "not stated"}
        product = self._switch.ask(writable(wanted.code), "MQTT")
        text = f"product code {writable(wanted.code)!r}: {product or 'unknown, nothing is inspected'}"
        self._tell("product_asked", "info" if product else "error", text, said)

    def _tell(self, kind: str, severity: str, text: str, said: Attributes) -> None:
        self._record(EventRecord(kind, severity, text, self._clock.wall_ns(), said))
