"""The command `check_updates`: somebody asks over MQTT that the release repository be looked into now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from edge_runtime.broker.requests import CheckUpdatesRequest
from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.records import EventRecord
from edge_runtime.domain.text import writable
from edge_runtime.services.asked import INTERVAL_NS, MOST_REQUESTS, about, first_mistake
from edge_runtime.services.queues import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.port import Request
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.asked import Attributes

CHECK_UPDATES: Final = "check_updates"


class CheckUpdates:
    """Passes such requests on, and records each. Used by the publish thread alone."""

    def __init__(self, ask: Callable[[], None], record: Callable[[EventRecord], None], clock: Clock) -> None:
        """Nothing happens before a request.

        Args:
            ask: asks the updater, which is another process; raises UpdateError if it cannot.
            record: writes down who asked.
            clock: bounds how many requests are looked at.
        """
        self._ask = ask
        self._record = record
        self._clock = clock
        self._allowance = Allowance(MOST_REQUESTS, INTERVAL_NS)

    def __call__(self, request: Request) -> None:
        """Take a request. Whatever it holds, nothing worse happens than a look where the configuration says."""
        held_back = self._allowance.ask(request.command, self._clock.monotonic_ns())
        if held_back is None:
            return
        said = about(request)
        if held_back:
            said["requests_ignored_before"] = held_back
        try:
            wanted = CheckUpdatesRequest.model_validate_json(request.payload or b"{}")
            said |= {"who": writable(wanted.who) or "not stated", "why": writable(wanted.why) or "not stated"}
            self._ask()
        except ValidationError as error:
            text = f"the request is not what docs/mqtt says: {first_mistake(error)}"
            self._tell("update_check_refused", "warning", text, said)
        except UpdateError as error:
            self._tell("update_check_refused", "error", error.diagnostics(), said)
        else:
            self._tell("update_check_asked", "info", "a look into the release repository was asked for", said)

    def _tell(self, kind: str, severity: str, text: str, said: Attributes) -> None:
        self._record(EventRecord(kind, severity, text, self._clock.wall_ns(), said))
