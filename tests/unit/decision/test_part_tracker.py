from __future__ import annotations

from makers import MS

from edge_runtime.decision.part_tracker import PartTracker, PlcCount
from edge_runtime.domain.part import PART_SEQUENCE_MAX

TIMEOUT = 100 * MS


def test_without_numbers_from_the_plc_parts_are_counted_on_from_the_ledger() -> None:
    """Numbers are never reused across restarts."""
    tracker = PartTracker(last=41)
    assert [tracker.assign(None).part_sequence for _ in range(3)] == [42, 43, 44]


def test_numbers_start_again_at_one_after_the_last() -> None:
    """Zero means "none" in the handshake and is skipped."""
    assert PartTracker(last=PART_SEQUENCE_MAX).assign(None).part_sequence == 1


def test_a_gap_in_the_plc_numbers_names_every_missing_part() -> None:
    """The camera missed parts 8 and 9: both get verdicts of their own."""
    tracker = PartTracker(last=0)
    tracker.assign(7)
    assignment = tracker.assign(10)
    assert (assignment.part_sequence, assignment.missing) == (10, (8, 9))


def test_the_first_number_from_the_plc_is_taken_as_it_is() -> None:
    """After a start nobody knows how many parts went by before: no gap is invented."""
    assert PartTracker(last=500).assign(20).missing == ()


def test_a_frame_of_a_part_already_given_up_is_recognised() -> None:
    """It must not get a second verdict."""
    tracker = PartTracker(last=0)
    tracker.assign(5)
    tracker.assign(7)
    assert tracker.assign(6).part_sequence is None


def test_a_reset_plc_counter_is_followed_and_reported() -> None:
    """A jump by more than any belt holds means a restart of the PLC, not thousands of lost parts."""
    tracker = PartTracker(last=0)
    tracker.assign(100_000)
    assignment = tracker.assign(1)
    assert (assignment.part_sequence, assignment.missing, assignment.resynchronised) == (1, (), True)


def test_a_counted_part_without_frame_is_given_up_after_the_timeout() -> None:
    """The PLC saw part 3 at the sensor; its frame never came."""
    tracker = PartTracker(last=0)
    tracker.assign(1)
    tracker.assign(2)
    assert tracker.observe_trigger_count(3, 0, TIMEOUT) == ()
    assert tracker.observe_trigger_count(3, 99 * MS, TIMEOUT) == ()
    assert tracker.observe_trigger_count(3, 100 * MS, TIMEOUT) == (3,)
    assert tracker.assign(4).missing == ()


def test_it_remembers_when_the_plc_had_not_yet_counted_a_part() -> None:
    """A count that has jumped, after a link that was down, may have jumped at once; a new count ends the old one."""
    tracker = PartTracker(last=0)
    for at_ms, parts in ((0, 1), (10, 2), (20, 2), (3_000, 5)):
        tracker.note_count(PlcCount(parts, at_ms * MS))
    assert [tracker.triggered_after_ns(number) for number in (1, 2, 3, 5, 6)] == [0, 0, 20 * MS, 20 * MS, None]
    tracker.note_count(PlcCount(1, 3_010 * MS))
    assert [tracker.triggered_after_ns(number) for number in (1, 2)] == [3_000 * MS, None]


def test_parts_counted_during_the_wait_are_not_given_up_with_it() -> None:
    """Only what was already counted when the wait began has waited long enough."""
    tracker = PartTracker(last=0)
    tracker.assign(1)
    tracker.observe_trigger_count(2, 0, TIMEOUT)
    assert tracker.observe_trigger_count(5, 100 * MS, TIMEOUT) == (2,)


def test_a_running_line_with_slightly_late_frames_loses_nothing() -> None:
    """The count is always one ahead at the moment of looking, but every frame comes."""
    tracker = PartTracker(last=0)
    lost = []
    for number in range(1, 200):
        lost += tracker.observe_trigger_count(number, number * 20 * MS, TIMEOUT)
        assert tracker.assign(number).missing == ()
    assert lost == []


def test_the_newest_part_counted_before_the_start_still_gets_a_verdict() -> None:
    """Its frame may be on the way; if none comes it is given up."""
    tracker = PartTracker(last=0)
    tracker.observe_trigger_count(17, 0, TIMEOUT)
    assert tracker.assign(17).part_sequence == 17


def test_after_a_short_run_a_reset_plc_counter_is_followed_too() -> None:
    """The PLC begins again at 1 while we are at 30: these are new parts, not late frames of old ones."""
    tracker = PartTracker(last=0)
    for number in range(1, 31):
        tracker.assign(number)
    assert [tracker.assign(number).part_sequence for number in (1, 2, 3)] == [1, 2, 3]


def test_after_a_counter_reset_a_number_that_was_given_up_before_is_a_new_part() -> None:
    """Only a number given up since the reset marks a late frame."""
    tracker = PartTracker(last=0)
    tracker.assign(1)
    tracker.assign(4)
    assert tracker.assign(1).resynchronised
    assert [tracker.assign(number).part_sequence for number in (2, 3)] == [2, 3]


def test_two_frames_with_one_number_are_two_triggers() -> None:
    """Each gets its verdict under that number, and counting goes on."""
    tracker = PartTracker(last=0)
    tracker.assign(6)
    again, following = tracker.assign(6), tracker.assign(7)
    assert (again.part_sequence, again.missing, following.part_sequence, following.missing) == (6, (), 7, ())


def test_the_newest_part_is_not_given_up_again_after_a_restart() -> None:
    """The ledger has its verdict already: a second one would turn a permit into a reject."""
    tracker = PartTracker(last=17)
    tracker.observe_trigger_count(17, 0, TIMEOUT)
    assert tracker.observe_trigger_count(17, 2 * TIMEOUT, TIMEOUT) == ()
    assert tracker.assign(18).missing == ()


def test_frames_out_of_order_at_the_start_each_get_their_number() -> None:
    """The first frame was not the oldest: the older ones are parts like any other."""
    tracker = PartTracker(last=0)
    assert [tracker.assign(number).part_sequence for number in (5, 3, 4)] == [5, 3, 4]
    assert tracker.assign(6).missing == ()


def test_a_camera_that_fell_thousands_of_parts_behind_gets_no_second_verdict_for_any() -> None:
    """Its frames come when their parts were given up long ago: that is no PLC that counts anew."""
    tracker = PartTracker(last=0)
    tracker.assign(1)
    lost = []
    for count in range(501, 5_002, 500):
        tracker.observe_trigger_count(count, count * MS, TIMEOUT)
        lost += tracker.observe_trigger_count(count, count * MS + TIMEOUT, TIMEOUT)
    assert lost == list(range(2, 5_002))
    assert {tracker.assign(number, late=True).part_sequence for number in lost} == {None}
    assert tracker.assign(5_002).part_sequence == 5_002


def test_a_late_frame_ahead_of_the_count_is_a_part_like_any_other() -> None:
    """Late is not lost: nobody gave it up."""
    tracker = PartTracker(last=0)
    tracker.assign(1)
    assert tracker.assign(2, late=True).part_sequence == 2
