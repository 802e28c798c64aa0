from __future__ import annotations

import pytest
from makers import BUNDLE, make_recipe

from edge_runtime.app.stages import RECORD_CAPACITY
from edge_runtime.domain.part import PART_SEQUENCE_MAX
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.services.reconcile import MAX_INTERRUPTED, Owed, read_owed, reconcile


def _reconcile(committed: int, acknowledged: int | None, owed: Owed | None = None):
    return reconcile(committed, acknowledged, make_recipe(), BUNDLE, "camera", 5, 6, owed)


def _interrupted(committed: int, acknowledged: int, owed: Owed) -> list[int]:
    return [record.verdict.part_sequence for record in _reconcile(committed, acknowledged, owed).interrupted]


def test_parts_acted_upon_but_not_committed_reappear_as_interrupted() -> None:
    """The PLC acknowledged 12, the ledger ends at 10: 11 and 12 are written down as rejects."""
    found = _reconcile(10, 12)
    verdicts = [record.verdict for record in found.interrupted]
    assert [v.part_sequence for v in verdicts] == [11, 12]
    assert {(v.disposition, v.reason) for v in verdicts} == {(Disposition.REJECT, Reason.INTERRUPTED)}
    assert found.last_part_sequence == 12


def test_as_many_parts_reappear_as_can_have_waited_for_a_disk() -> None:
    """The disk refused for minutes before the power went: not one of those parts is passed over in silence."""
    found = _reconcile(10, 10 + MAX_INTERRUPTED)
    assert len(found.interrupted) == MAX_INTERRUPTED >= RECORD_CAPACITY
    assert _reconcile(10, 11 + MAX_INTERRUPTED).interrupted == ()


@pytest.mark.parametrize(
    ("committed", "acknowledged", "last"),
    [
        (10, 10, 10),  # a clean stop
        (10, None, 10),  # no PLC, or it does not answer
        (10, 0, 10),  # a PLC that was switched off and on
        (0, 40, 40),  # a new ledger cannot know; numbering goes on where the PLC is
        (10, 50_000, 10),  # another PLC: nothing is invented
        (10, 8, 10),  # the PLC missed the last two
    ],
)
def test_nothing_is_invented(committed, acknowledged, last) -> None:
    """Only a small, plausible difference means interrupted parts."""
    found = _reconcile(committed, acknowledged)
    assert (found.interrupted, found.last_part_sequence) == ((), last)


def test_what_is_owed_is_sought_from_where_it_fell_due() -> None:
    """The ledger went on to 20 meanwhile, numbering does not go back, and nothing known is told of again."""
    owed = Owed(10, 7, frozenset(range(15, 21)))
    assert _interrupted(20, 12, owed) == [11, 12]
    assert _reconcile(20, 12, owed).last_part_sequence == 20
    assert _interrupted(20, 22, owed) == [11, 12, 13, 14, 21, 22]
    assert _interrupted(20, 10, owed) == []


def test_a_long_life_without_plc_does_not_make_the_window_implausible() -> None:
    """Only parts of which nothing is known count; and a PLC that is another one by now says nothing about either."""
    owed = Owed(10, 7, frozenset(range(15, 90_001)))
    assert _interrupted(90_000, 90_002, owed) == [11, 12, 13, 14, 90_001, 90_002]
    assert _interrupted(90_000, 3_000_000, owed) == []
    assert _interrupted(90_000, 90_002, Owed(10, 7)) == [90_001, 90_002]


def test_what_is_owed_is_sought_over_the_end_of_the_count() -> None:
    """After 2³²−1 comes 1."""
    assert _interrupted(5, 2, Owed(PART_SEQUENCE_MAX - 1, 7, frozenset({1, 5}))) == [PART_SEQUENCE_MAX, 2]


def test_what_is_owed_survives_being_noted() -> None:
    """All but what the ledger itself knows; an empty note, or none, owes nothing."""
    assert read_owed(Owed(10, 7, frozenset({11})).note()) == Owed(10, 7)
    assert (read_owed(""), read_owed(None)) == (None, None)
