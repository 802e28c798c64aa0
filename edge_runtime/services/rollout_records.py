"""What becomes of a rollout, as the ledger, the log and MQTT are told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.domain.records import EventRecord, RolloutRecord
from edge_runtime.domain.rollout import RolloutStage

if TYPE_CHECKING:
    from edge_runtime.domain.rollout import RolloutReport
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.events import Events

_log = logging.getLogger(__name__)
_SEVERITY = {RolloutStage.ROLLED_BACK: "error", RolloutStage.WITHDRAWN: "warning"}


class RolloutRecords:
    """See `rollout_port.Told`."""

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def entered(self, stage: RolloutStage, candidate: BundleIdentity, reason: str) -> None:
        """See `Told`."""
        self._events.record(
            EventRecord(
                "rollout_stage",
                _SEVERITY.get(stage, "info"),
                f"{candidate.name} {candidate.version} is {stage}: {reason}",
                self._clock.wall_ns(),
                {
                    "stage": str(stage),
                    "bundle": candidate.name,
                    "version": candidate.version,
                    "digest": candidate.digest,
                    "reason": reason,
                },
            )
        )

    def refused(self, what: str, who: str, why: str) -> None:
        """See `Told`."""
        text = f"not done: {what}; asked by {who}: {why}"
        self._events.record(
            EventRecord("rollout_refused", "warning", text, self._clock.wall_ns(), {"who": who, "why": why})
        )

    def reconsidered(self, digest: str, ended: str, who: str, why: str) -> None:
        """See `Told`."""
        text = f"{digest[:12]} may be compared again (it was {ended}); asked for by {who}: {why}"
        attributes: dict[str, str | int | float | bool] = {"digest": digest, "ended": ended, "who": who, "why": why}
        self._events.record(EventRecord("rollout_reconsidered", "info", text, self._clock.wall_ns(), attributes))

    def unwritten(self, why: str) -> None:
        """See `Told`."""
        self._events("rollout_unwritten", "warning", f"the rollout cannot be written down: {why}")

    def report(self, report: RolloutReport) -> None:
        """See `Told`."""
        self._events.report(RolloutRecord(report, self._clock.wall_ns()))
