"""What the line says about releases that come in beside it: reasons for the PLC and the status, events for the ledger.

The import runs in other processes and leaves word in small files; here they are read, and nothing is decided by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.delivery import Outcome, Step, Via
from edge_runtime.domain.records import EventRecord
from edge_runtime.domain.status import LineReason
from edge_runtime.domain.text import writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.bundles.delivery_files import DeliveryFile
    from edge_runtime.domain.delivery import Delivery, Fate
    from edge_runtime.ops.clock import Clock

SILENT_NS: Final = 900_000_000_000
"""An import without a word for so long was killed: it is no longer said to run."""
OLD_NS: Final = 600_000_000_000
"""What had ended so long before we first saw it is history: it was told then, or nobody was there."""
MOST_FATES: Final = 20
_KINDS: Final = {
    Outcome.TAKEN: ("update_taken", "info"),
    Outcome.PRESENT: ("update_present", "info"),
    Outcome.LEFT: ("update_left", "info"),
    Outcome.REFUSED: ("update_refused", "warning"),
    Outcome.FAILED: ("update_failed", "warning"),
}


@dataclass(slots=True)
class UpdateProbe:
    """Used by the supervisor alone."""

    files: Sequence[DeliveryFile]
    record: Callable[[EventRecord], None]
    clock: Clock
    _running: dict[Via, tuple[str, int]] = field(default_factory=dict)
    """Way → what it is at, and when that was heard."""
    _told: dict[Via, tuple[Fate, ...]] = field(default_factory=dict)

    def __call__(self, now_ns: int) -> Iterator[tuple[LineReason, str]]:
        """See `condition.Probe`."""
        for file in self.files:
            delivery = file.news()
            if delivery is not None:
                yield from self._heard(delivery, now_ns)
        for detail, heard_ns in list(self._running.values()):
            if now_ns - heard_ns < SILENT_NS:
                yield LineReason.UPDATE_RUNNING, detail

    def _heard(self, delivery: Delivery, now_ns: int) -> Iterator[tuple[LineReason, str]]:
        is_at_work = delivery.step in {Step.DOWNLOADING, Step.INSTALLING} or (
            delivery.step is Step.LOOKING and delivery.via is Via.STICK
        )
        if is_at_work:
            self._running[delivery.via] = (f"by {delivery.via}, {delivery.step}: {writable(delivery.detail)}", now_ns)
        else:
            self._running.pop(delivery.via, None)
        if delivery.ended_ns is None or self.clock.wall_ns() - delivery.ended_ns > OLD_NS:
            return
        yield from self._ended(delivery)

    def _ended(self, delivery: Delivery) -> Iterator[tuple[LineReason, str]]:
        repeated = delivery.via is Via.NETWORK and self._told.get(delivery.via) == delivery.fates
        self._told[delivery.via] = delivery.fates
        for fate in delivery.fates[:MOST_FATES]:
            if not repeated:  # the same trouble at every check is one event
                self._tell(delivery, fate)
            said = writable(fate.what if fate.offered in fate.what else f"{fate.offered}: {fate.what}")
            if fate.outcome in {Outcome.REFUSED, Outcome.FAILED}:
                yield LineReason.UPDATE_REFUSED, said
            elif fate.outcome is Outcome.TAKEN:
                yield LineReason.UPDATE_TAKEN, writable(fate.release)
        if delivery.via is Via.STICK and not delivery.fates:
            event = EventRecord("update_nothing", "info", writable(delivery.detail), self.clock.wall_ns())
            self.record(event)
            if delivery.action:  # it could not even be read
                yield LineReason.UPDATE_REFUSED, writable(delivery.detail)

    def _tell(self, delivery: Delivery, fate: Fate) -> None:
        kind, severity = _KINDS[fate.outcome]
        words = [
            " ".join(part for part in (fate.offered, fate.release, str(fate.outcome)) if part),
            fate.what,
            fate.action,
        ]
        self.record(
            EventRecord(
                kind,
                severity,
                writable("; ".join(word for word in words if word)),
                self.clock.wall_ns(),
                {
                    "via": str(delivery.via),
                    "offered": writable(fate.offered),
                    "outcome": str(fate.outcome),
                    "release": writable(fate.release),
                    "product": writable(fate.product),
                    "digest": fate.digest,
                },
            )
        )
