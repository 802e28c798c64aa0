from __future__ import annotations

import pytest
from makers import BUNDLE, make_recipe

from edge_runtime.app.stages import RECORD_CAPACITY
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.services.reconcile import MAX_INTERRUPTED, reconcile


def _reconcile(committed: int, acknowledged: int | None):
    return reconcile(committed, acknowledged, make_recipe(), BUNDLE, "camera", 5, 6)


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
