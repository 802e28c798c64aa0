from __future__ import annotations

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ledger_records import DEVICE, WALL_NS, event_record, file_identity, verdict_record

from edge_runtime.broker.encoding import encoder
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.evidence import MAX_NAME_CHARS, safe_name
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ledger.parts import REORDER_PARTS, newest_part
from edge_runtime.ledger.retention import PRUNED, Retention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.records import OutboxRow


def _content(rows: Sequence[OutboxRow]) -> list[tuple[int, str, bytes]]:
    """Rows without their hashes: each ledger has a chain of its own, and the record of a pruning names one."""
    return [(row.sequence, row.channel, b"" if PRUNED.encode() in row.payload else row.payload) for row in rows]


class LedgerAgainstItsTwin(RuleBasedStateMachine):
    """Whatever happens in whatever order, also restarts: the database and the twin answer alike."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._path = Path(self._folder.name) / "ledger.sqlite"

    @initialize()
    def open(self) -> None:
        """Both empty."""
        self.database = SqliteLedger(self._path, DEVICE, encoder(DEVICE))
        self.twin = MemoryLedger(encoder(DEVICE))
        self.cursor = 0

    @rule(parts=st.lists(st.integers(1, 400), max_size=5), with_event=st.booleans())
    def append(self, parts: list[int], with_event: bool) -> None:  # noqa: FBT001
        """A batch."""
        entries = [verdict_record(part, file=file_identity(part)) for part in parts]
        batch = [*entries, event_record()] if with_event else entries
        assert list(self.database.append(batch)) == list(self.twin.append(batch))

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """PUBACKs in any order, also of sequences that are not there."""
        sequences = data.draw(st.lists(st.integers(1, 60), max_size=8))
        self.database.mark_sent(sequences)
        self.twin.mark_sent(sequences)

    @rule(keep_rows=st.integers(1, 20))
    def prune(self, keep_rows: int) -> None:
        """Old records go."""
        keep = Retention(keep_rows)
        assert self.database.prune(keep, WALL_NS) == self.twin.prune(keep, WALL_NS)

    @rule()
    def restart(self) -> None:
        """The daemon ends and starts again."""
        self.database.close()
        self.database = SqliteLedger(self._path, DEVICE, encoder(DEVICE))

    @invariant()
    def alike(self) -> None:
        """Every answer is the same."""
        if not hasattr(self, "database"):
            return
        assert _content(self.database.unsent(0, 1_000)) == _content(self.twin.unsent(0, 1_000))
        assert _content(self.database.recent(1_000)) == _content(self.twin.recent(1_000))
        assert self.database.backlog() == self.twin.backlog()
        assert self.database.last_part_sequence() == self.twin.last_part_sequence()

    def teardown(self) -> None:
        """Nothing stays."""
        if hasattr(self, "database"):
            self.database.close()
        self._folder.cleanup()


LedgerAgainstItsTwin.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestLedgerAgainstItsTwin = LedgerAgainstItsTwin.TestCase


def _components(path: str) -> list[str]:
    """What is left of a path once empty and `.` components are taken out."""
    return [part for part in path.split("/") if part not in {"", "."}]


@given(st.text(max_size=300), st.text(max_size=300))
@example("", "/")
def test_safe_names_are_ordinary_and_different(first: str, second: str) -> None:
    """Any text becomes a short relative path of harmless names; names that differ stay different."""
    for part in PurePosixPath(safe_name(first)).parts:
        assert part not in {"/", ".", ".."}
        assert 0 < len(part) <= MAX_NAME_CHARS
        assert part.isascii()
    if _components(first) != _components(second):
        assert safe_name(first) != safe_name(second)
    assert safe_name(safe_name(first)) == safe_name(first)


@given(start=st.integers(1, 2**32 - 1), late=st.lists(st.integers(0, REORDER_PARTS - 1), max_size=30))
def test_late_verdicts_never_turn_the_count_back(start: int, late: list[int]) -> None:
    """Verdicts behind the newest by less than the reorder window leave it where it is, also over the wrap."""
    newest = newest_part(0, start)
    for behind in late:
        newest = newest_part(newest, (start - behind) % 2**32)
    assert newest == start
