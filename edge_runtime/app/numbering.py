"""Where part numbers go on after a start, and what the PLC acted upon without the ledger knowing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.app.stages import numbers_are_the_plcs
from edge_runtime.domain.errors import LedgerError, PlcError
from edge_runtime.domain.records import Channel, EventRecord
from edge_runtime.plc.port import PlcCapability
from edge_runtime.services.flow import RecordItem
from edge_runtime.services.reconcile import UNRECONCILED_NOTE, Owed, Reconciliation, read_owed, reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.app.stages import Common
    from edge_runtime.ledger.port import Ledger, LedgerEntry
    from edge_runtime.plc.port import PlcInputs
    from edge_runtime.services.plc_link import PlcLink

READ_ROWS = 1_000


def start_numbering(line: Common, link: PlcLink | None, opening: Sequence[EventRecord]) -> int:
    """The newest part number so far, after writing down how we started and what the PLC acted upon without the ledger.

    A PLC that cannot be reached now is asked when it is: what it remembers by then is still of the time before us.
    Until then the ledger holds a note of what is owed, committed before the first new part, for the case that we do
    not live to see it.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    start = _Start(line)
    begun: list[LedgerEntry] = [*opening]
    found = Reconciliation(start.committed, ())
    if link is not None:
        try:
            inputs = link.connect_now()
        except PlcError:
            begun += start.debt()
            link.at_first_contact(start.catch_up)
        else:
            found = start.compare(inputs)
            begun += start.settled(found, inputs)
    try:
        line.devices.ledger.append(begun)
    except LedgerError:
        for record in begun:  # a full disk stops no line: the record stage goes on trying, these first
            line.queues.records.try_put(RecordItem(record))
    return found.last_part_sequence


class _Start:
    """What the ledger knew before this start."""

    def __init__(self, line: Common) -> None:
        ledger = line.devices.ledger
        self._line = line
        self._record = ledger.head.sequence
        self._owed = read_owed(ledger.note(UNRECONCILED_NOTE))
        self.committed = ledger.last_part_sequence()
        if self._owed is not None and numbers_are_the_plcs(line):
            # Now, while nothing hurries: at the first contact this would hold up the PLC link.
            self._owed = replace(self._owed, told=_parts_since(ledger, self._owed.record))

    def debt(self) -> list[EventRecord]:
        """The note that the PLC has yet to be asked; none where it stands already, or where there is nobody to ask."""
        if self._owed is not None or PlcCapability.HANDSHAKE not in self._line.devices.plc.capabilities:
            return []
        self._owed = Owed(self.committed, self._record)
        what = f"after part {self.committed}" if self.committed else "before this ledger's first part"
        text = f"the PLC did not answer at the start; what it acted upon {what} is asked for later"
        return [self._event("plc_not_asked", "warning", text, self._owed.note())]

    def compare(self, inputs: PlcInputs) -> Reconciliation:
        """With what the PLC remembers."""
        line, clock = self._line, self._line.clock
        return reconcile(
            self.committed,
            inputs.acknowledged_sequence,
            *line.recipe.both,
            line.config.camera.name,
            clock.monotonic_ns(),
            clock.wall_ns(),
            self._owed,
        )

    def settled(self, found: Reconciliation, inputs: PlcInputs) -> list[LedgerEntry]:
        """The parts that were found and, behind them, that nothing is owed any more."""
        known: list[LedgerEntry] = [*found.interrupted, *self._unknown(inputs)]
        if self._owed is None:
            return known
        after = self._owed.part
        what = f"after part {after}: {len(found.interrupted)} unknown parts" if after else "before this ledger began"
        return [*known, self._event("plc_asked", "info", f"the PLC was asked what it acted upon {what}", "")]

    def catch_up(self, inputs: PlcInputs) -> None:
        """At the first contact, in the PLC link's thread."""
        for entry in self.settled(self.compare(inputs), inputs):
            self._line.queues.records.try_put(RecordItem(entry))

    def _unknown(self, inputs: PlcInputs) -> list[EventRecord]:
        """Before the ledger's first part nothing tells which parts lack a record, only that some may."""
        acknowledged = inputs.acknowledged_sequence
        began_with = self.committed if self._owed is None else self._owed.part
        if began_with or not acknowledged:
            return []
        if self._line.devices.ledger.opening.set_aside is not None:
            severity, which = "error", "which of them the ledger that was set aside held cannot be told any more"
        else:
            severity = "warning"
            which = "this ledger began behind them: it is new here, or its disk had taken nothing yet"
        text = f"the PLC acted upon parts up to {acknowledged}; {which}: compare with what your subscribers have"
        wall_ns = self._line.clock.wall_ns()
        return [EventRecord("parts_unknown", severity, text, wall_ns, {"acknowledged": acknowledged})]

    def _event(self, kind: str, severity: str, text: str, note: str) -> EventRecord:
        return EventRecord(kind, severity, text, self._line.clock.wall_ns(), notes={UNRECONCILED_NOTE: note})


def _parts_since(ledger: Ledger, record: int) -> frozenset[int]:
    """Numbers of the parts recorded after `record`."""
    parts: set[int] = set()
    while found := ledger.rows(record + 1, ledger.head.sequence, READ_ROWS):
        record = found[-1].sequence
        parts.update(json.loads(row.payload)["part_sequence"] for row in found if row.channel is Channel.INSPECTION)
    return frozenset(parts)
