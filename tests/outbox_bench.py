"""Twins around the outbox: a ledger that refuses, a broker that the test answers for, a camera that remembers."""

from __future__ import annotations

from makers import MS, make_inspection, make_lost, make_part, make_recipe

from edge_runtime.broker.port import BrokerStatus, PubAck
from edge_runtime.decision.judge import judge
from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.services.flow import RecordItem


def make_item(number: int) -> RecordItem:
    """A verdict on its way into the ledger."""
    part = make_part(number)
    verdict = judge(make_inspection(0.5), part, make_recipe(), 1_010 * MS)
    return RecordItem(VerdictRecord(verdict, 10 * MS, "camera", "test"), make_lost(number))


class SettlingCamera:
    """Remembers what it was told to settle."""

    def __init__(self) -> None:
        self.settled = []

    def settle(self, arrival) -> None:
        """Remember it."""
        self.settled.append(arrival.trigger.sequence)


class FailingLedger(MemoryLedger):
    """Refuses what the test tells it to refuse, as a disk does."""

    def __init__(self) -> None:
        super().__init__(lambda _entry, sequence: b"%d" % sequence)
        self.refusing: set[str] = set()

    def _ask(self, what: str) -> None:
        if what in self.refusing:
            raise LedgerError(f"{what} refused", "mend the disk")

    def append(self, entries):
        """As the twin, or refused."""
        self._ask("append")
        return super().append(entries)

    def prune(self, retention, wall_ns):
        """As the twin, or refused."""
        self._ask("prune")
        return super().prune(retention, wall_ns)

    def unsent(self, after, limit):
        """As the twin, or refused."""
        self._ask("unsent")
        return super().unsent(after, limit)

    def set_apart(self, sequences):
        """As the twin, or refused."""
        self._ask("set_apart")
        super().set_apart(sequences)

    def rows(self, first, last, limit):
        """As the twin, or refused."""
        self._ask("rows")
        return super().rows(first, last, limit)

    def mark_sent(self, sequences):
        """As the twin, or refused."""
        self._ask("mark_sent")
        super().mark_sent(sequences)

    def backlog(self):
        """As the twin, or refused."""
        self._ask("backlog")
        return super().backlog()


class ScriptedBroker:
    """Accepts rows up to its window; the test decides what becomes of them."""

    def __init__(self) -> None:
        self.connected = True
        self.connects = 1
        self.taken: list[int] = []
        self.acks: list[PubAck] = []
        self.window = 100

    def publish(self, row) -> bool:
        """Take a row if there is room."""
        if not self.connected or len(self.taken) >= self.window:
            return False
        self.taken.append(row.sequence)
        return True

    def poll_acks(self, timeout_s: float) -> list[PubAck]:
        """What the test has put there."""
        acks, self.acks = self.acks, []
        return acks

    def status(self) -> BrokerStatus:
        """Connected or not."""
        return BrokerStatus(self.connected, "", self.connects)

    def answer(self, *, accepted: bool, reason: str = "success") -> None:
        """Answer everything that was taken."""
        self.acks = [PubAck(sequence, accepted, reason) for sequence in self.taken]
        self.taken = []
