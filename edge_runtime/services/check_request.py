"""The command `check_updates`: somebody asks over MQTT that the release repository be looked into now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_runtime.broker.requests import CheckUpdatesRequest
from edge_runtime.domain.errors import UpdateError
from edge_runtime.services.asked import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.port import Request
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.ops.clock import Clock

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
        self._intake = Intake(CheckUpdatesRequest, "update_check_refused", record, clock)

    def __call__(self, request: Request) -> None:
        """Take a request. Whatever it holds, nothing worse happens than a look where the configuration says."""
        taken = self._intake.read(request)
        if taken is None:
            return
        _, said = taken
        try:
            self._ask()
        except UpdateError as error:
            self._intake.tell("update_check_refused", "error", error.diagnostics(), said)
        else:
            self._intake.tell("update_check_asked", "info", "a look into the release repository was asked for", said)
