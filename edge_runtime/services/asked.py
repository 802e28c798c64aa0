"""What comes in as a request over MQTT: how many of a kind are listened to, and what is recorded of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pydantic import ValidationError

from edge_runtime.broker.requests import DeviceRequest
from edge_runtime.domain.records import EventRecord
from edge_runtime.domain.text import writable
from edge_runtime.services.queues import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.port import Request
    from edge_runtime.ops.clock import Clock

MOST_REQUESTS: Final = 10
INTERVAL_NS: Final = 60_000_000_000
"""So many requests of a kind are looked at per interval: a flood of them fills neither the ledger nor the line."""
MOST_PROPERTIES: Final = 8
MOST_CHARS: Final = 200

Attributes = dict[str, str | int | float | bool]
R = TypeVar("R", bound=DeviceRequest)


class Intake(Generic[R]):
    """Reads the requests of one command, and records what becomes of them. Used by the publish thread alone."""

    def __init__(
        self,
        form: type[R],
        refused: str,
        record: Callable[[EventRecord], None],
        clock: Clock,
        most_requests: int = MOST_REQUESTS,
    ) -> None:
        """Nothing happens before a request.

        Args:
            form: what docs/mqtt says such a request is.
            refused: kind of the event for a request that is something else.
            record: writes events down.
            clock: bounds how many requests are looked at.
            most_requests: so many per `INTERVAL_NS`.
        """
        self._form = form
        self._refused = refused
        self._record = record
        self._clock = clock
        self._allowance = Allowance(most_requests, INTERVAL_NS)

    def read(self, request: Request) -> tuple[R, Attributes] | None:
        """What is wanted, and who asked for it; None if there is nothing to do. Whatever it holds, nothing is raised.

        What is not in the form is recorded as refused; what exceeds the bound is counted, and told with the next one.
        """
        held_back = self._allowance.ask(request.command, self._clock.monotonic_ns())
        if held_back is None:
            return None
        said = _sender(request)
        if held_back:
            said["requests_ignored_before"] = held_back
        try:
            wanted = self._form.model_validate_json(request.payload or b"{}")
        except ValidationError as error:
            text = f"the request is not what docs/mqtt says: {_first_mistake(error)}"
            self.tell(self._refused, "warning", text, said)
            return None
        said |= {"who": writable(wanted.who) or "not stated", "why": writable(wanted.why) or "not stated"}
        return wanted, said

    def tell(self, kind: str, severity: str, text: str, said: Attributes) -> None:
        """Record what became of a request.

        Args:
            kind: of the event.
            severity: of the event.
            text: for people.
            said: what `read` gave, and whatever else belongs to it.
        """
        self._record(EventRecord(kind, severity, text, self._clock.wall_ns(), said))


def _sender(request: Request) -> Attributes:
    """Who asked, as far as the request says; none of it is proved."""
    found: Attributes = {
        "response_topic": _short(request.response_topic),
        "correlation": request.correlation[:MOST_CHARS].hex(),
    }
    for name, value in request.properties[:MOST_PROPERTIES]:
        found[f"property {_short(name)}"] = _short(value)
    return found


def _short(text: str) -> str:
    """Cut to what a record has room for."""
    return writable(text[:MOST_CHARS])


def _first_mistake(error: ValidationError) -> str:
    """Where the request is not what docs/mqtt says."""
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]
