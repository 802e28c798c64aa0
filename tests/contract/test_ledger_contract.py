from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, WALL_NS, event_record, file_identity, verdict_record

from edge_runtime.broker.encoding import encode, encoder
from edge_runtime.config.line import LedgerSettings
from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import Channel
from edge_runtime.ledger import create
from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ledger.port import Head
from edge_runtime.ledger.retention import PRUNED, Retention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.ledger.port import Ledger


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request, tmp_path) -> Iterator[Ledger]:
    """Every ledger there is, empty."""
    made: Ledger = (
        create(LedgerSettings(), tmp_path / "ledger.sqlite", DEVICE, encoder(DEVICE))
        if request.param == "sqlite"
        else MemoryLedger(encoder(DEVICE))
    )
    yield made
    made.close()


class TestLedgerContract:
    """What every ledger does."""

    def test_sequences_start_at_one_and_follow_the_entries(self, ledger) -> None:
        """Verdicts and events share one ascending sequence, in the order given."""
        assert list(ledger.append([verdict_record(1), event_record(1)])) == [1, 2]
        assert list(ledger.append([verdict_record(2)])) == [3]

    def test_every_entry_has_its_outbox_row(self, ledger) -> None:
        """The outbox holds exactly the encoder's bytes, on the entry's channel."""
        entries = [verdict_record(1), event_record(2, retries=3)]
        ledger.append(entries)
        found = ledger.unsent(0, 10)
        assert [(row.sequence, row.channel, row.payload) for row in found] == [
            (1, Channel.INSPECTION, encode(entries[0], 1, DEVICE)),
            (2, Channel.EVENT, encode(entries[1], 2, DEVICE)),
        ]

    def test_nothing_to_append_is_nothing(self, ledger) -> None:
        """An empty batch commits nothing and uses no sequence."""
        assert list(ledger.append([])) == []
        assert list(ledger.append([event_record()])) == [1]

    def test_unsent_begins_after_and_ends_at_the_limit(self, ledger) -> None:
        """`after` is exclusive, rows are ascending, at most `limit` come."""
        ledger.append([verdict_record(number) for number in range(1, 11)])
        assert [row.sequence for row in ledger.unsent(3, 4)] == [4, 5, 6, 7]

    def test_sent_rows_leave_the_backlog(self, ledger) -> None:
        """A marked row is not offered again; marking it twice or marking an unknown one changes nothing."""
        ledger.append([verdict_record(number) for number in range(1, 6)])
        ledger.mark_sent([2, 4])
        ledger.mark_sent([2, 99])
        ledger.mark_sent([])
        assert [row.sequence for row in ledger.unsent(0, 10)] == [1, 3, 5]
        assert ledger.backlog() == 3

    def test_a_file_is_seen_once_its_verdict_is_committed(self, ledger) -> None:
        """Exactly this file: another path, size, time or digest is another file."""
        file = file_identity(1)
        assert not ledger.is_seen(file)
        ledger.append([verdict_record(1, file=file)])
        assert ledger.is_seen(file)
        assert not ledger.is_seen(file_identity(2))
        assert not ledger.is_seen(file_identity(1, path="elsewhere.png"))

    def test_the_same_file_may_be_committed_twice(self, ledger) -> None:
        """An interrupted part that is inspected again does not break the batch."""
        ledger.append([verdict_record(1, file=file_identity(1))])
        ledger.append([verdict_record(1, file=file_identity(1))])
        assert ledger.is_seen(file_identity(1))

    def test_odd_names_are_kept(self, ledger) -> None:
        """A file name that is not UTF-8, quotes and control characters neither break a batch nor get lost."""
        name = "a'b\n\udcff.png"
        ledger.append([verdict_record(1, part_id=name, file=file_identity(1, path=name))])
        assert ledger.is_seen(file_identity(1, path=name))
        assert rb"\\udcff" in ledger.unsent(0, 1)[0].payload

    def test_numbering_goes_on_from_the_newest_part(self, ledger) -> None:
        """A late verdict on an earlier part does not turn the count back; events do not count."""
        assert ledger.last_part_sequence() == 0
        ledger.append([verdict_record(1), verdict_record(3), verdict_record(2), event_record()])
        assert ledger.last_part_sequence() == 3

    def test_numbering_follows_a_plc_that_begins_anew(self, ledger) -> None:
        """After a restart of the PLC, and over the end of its 32-bit count, the newest part is the last committed."""
        ledger.append([verdict_record(1, part_sequence=90_000)])
        ledger.append([verdict_record(2, part_sequence=1)])
        assert ledger.last_part_sequence() == 1
        ledger.append([verdict_record(3, part_sequence=2**32 - 1)])
        ledger.append([verdict_record(4, part_sequence=2)])
        assert ledger.last_part_sequence() == 2

    def test_every_row_has_its_place_in_the_chain(self, ledger) -> None:
        """The hash covers the row before it, across batches; the head is the newest row."""
        previous = ledger.head.hash
        ledger.append([verdict_record(1), event_record(2)])
        ledger.append([verdict_record(3)])
        for row in ledger.rows(1, 3, 10):
            previous = record_hash(previous, row.sequence, row.channel.value, row.payload)
            assert row.hash == previous
        assert ledger.head == Head(3, previous)

    def test_rows_are_read_by_number_delivered_or_not(self, ledger) -> None:
        """Both bounds are included; at most `limit` come."""
        ledger.append([verdict_record(number) for number in range(1, 11)])
        ledger.mark_sent([4, 5])
        assert [row.sequence for row in ledger.rows(4, 9, 4)] == [4, 5, 6, 7]
        assert [row.sequence for row in ledger.rows(9, 99, 4)] == [9, 10]

    def test_prune_drops_the_oldest_delivered_rows_only(self, ledger) -> None:
        """It stops before the first row without PUBACK, whatever the limit says: what is left has no gap."""
        ledger.append([verdict_record(number) for number in range(1, 11)])
        ledger.mark_sent([number for number in range(1, 11) if number != 3])
        assert ledger.prune(Retention(4), WALL_NS) == 2
        assert [row.sequence for row in ledger.unsent(0, 10)] == [3, 11]
        ledger.mark_sent([3])
        assert ledger.prune(Retention(4), WALL_NS) == 5
        assert [row.sequence for row in ledger.recent(100)] == [12, 11, 10, 9, 8]

    def test_what_is_set_apart_waits_beside_the_others(self, ledger) -> None:
        """Neither delivery nor pruning waits for it, a copy outlives its record, and its mark ends it."""
        ledger.append([verdict_record(number) for number in range(1, 9)])
        ledger.set_apart([2, 5])
        assert [row.sequence for row in ledger.unsent(0, 10)] == [1, 3, 4, 6, 7, 8]
        ledger.mark_sent([1, 3, 4, 6, 7, 8])
        assert (ledger.delivered_upto(), ledger.backlog(), ledger.newest()) == (8, 2, 8)
        assert ledger.prune(Retention(3), WALL_NS) == 5
        kept = ledger.apart(0, 10)
        assert [row.sequence for row in kept] == [2, 5]
        assert b'"part-2"' in kept[0].payload
        assert [row.sequence for row in ledger.apart(2, 10)] == [5]
        ledger.mark_sent([2])
        assert [row.sequence for row in ledger.apart(0, 10)] == [5]
        ledger.mark_sent([5, 9])
        assert (ledger.apart(0, 10), ledger.backlog()) == ([], 0)

    def test_what_was_pruned_is_recorded(self, ledger) -> None:
        """The number and the hash of the last record that went stand in the chain."""
        ledger.append([verdict_record(number) for number in range(1, 11)])
        last_to_go = ledger.rows(6, 6, 1)[0]
        ledger.mark_sent(range(1, 11))
        ledger.prune(Retention(4), WALL_NS)
        event = json.loads(ledger.recent(1)[0].payload)
        assert (event["kind"], event["time_ns"]) == (PRUNED, WALL_NS)
        assert event["attributes"] == {"through": 6, "hash": last_to_go.hash.hex(), "records": 6, "limit": "rows"}

    def test_prune_by_age_drops_what_is_older(self, ledger) -> None:
        """By the records' own times; fewer than a hundred are not worth a record of it."""
        ledger.mark_sent(ledger.append([event_record(number) for number in range(1, 301)]))
        assert ledger.prune(Retention(1_000, since_wall_ns=WALL_NS + 50), WALL_NS) == 0
        assert ledger.prune(Retention(1_000, since_wall_ns=WALL_NS + 201), WALL_NS) == 200
        assert ledger.rows(1, 999, 1)[0].sequence == 201

    def test_pruned_sequences_and_parts_never_come_back(self, ledger) -> None:
        """With nearly nothing left, the next sequence and part number still go on."""
        ledger.append([verdict_record(number, file=file_identity(number)) for number in range(1, 4)])
        ledger.mark_sent([1, 2, 3])
        assert ledger.prune(Retention(1), WALL_NS) == 2
        assert list(ledger.append([verdict_record(4)])) == [5]
        assert ledger.last_part_sequence() == 4
        assert ledger.is_seen(file_identity(1)), "a file that stays in its folder stays inspected"

    def test_notes_are_remembered_with_their_record_and_not_published(self, ledger) -> None:
        """The newest text of each key; the message is the same without it."""
        assert ledger.note("bundle") is None
        plain = event_record()
        for text in ("first", "second"):
            ledger.append([replace(plain, notes={"bundle": text})])
        assert (ledger.note("bundle"), ledger.note("other")) == ("second", None)
        assert ledger.rows(2, 2, 1)[0].payload == encode(plain, 2, DEVICE)

    def test_an_encoder_that_fails_commits_nothing(self, ledger) -> None:
        """One bad entry takes its whole batch with it, and the next batch gets the same sequences."""
        with pytest.raises(AttributeError):
            ledger.append([verdict_record(1), None])
        assert ledger.backlog() == 0
        assert list(ledger.append([verdict_record(1)])) == [1]

    def test_closing_twice_is_harmless_and_use_after_it_is_an_error(self, ledger) -> None:
        """A closed ledger says so instead of pretending to commit."""
        ledger.close()
        ledger.close()
        with pytest.raises(LedgerError):
            ledger.append([verdict_record(1)])


def test_the_encoder_of_a_device_is_partial_encode() -> None:
    """What the application hands to the ledger is the wire format of that device."""
    assert encoder(DEVICE)(verdict_record(7), 7) == partial(encode, device=DEVICE)(verdict_record(7), 7)
