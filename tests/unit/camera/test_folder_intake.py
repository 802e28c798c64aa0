from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.camera.folder.intake import OPEN_WRITE_PATIENCE_NS, Intake, Mark
from edge_runtime.camera.folder.scanner import Entry

STABLE_NS = 100


def _mark(entry: Entry) -> Mark:
    return Mark(entry.size_bytes, entry.mtime_ns, "00")


def _take_all(intake: Intake) -> list[Entry]:
    taken = []
    while (entry := intake.take()) is not None:
        taken.append(entry)
    return taken


def test_a_complete_file_is_ready_at_once():
    """What the kernel says is closed needs no rest."""
    intake = Intake(STABLE_NS)
    entry = Entry("a.png", 1, 1)
    intake.sight(entry, 0)
    intake.complete(entry)
    assert _take_all(intake) == [entry]
    intake.mature(10 * STABLE_NS, lambda _: entry)
    assert _take_all(intake) == []


def test_a_file_rests_before_it_is_ready():
    """A file that was only seen is taken after it stayed the same for the whole interval."""
    intake = Intake(STABLE_NS)
    entry = Entry("a.png", 1, 1)
    intake.sight(entry, 0)
    assert intake.next_due_ns() == STABLE_NS
    intake.mature(STABLE_NS - 1, lambda _: entry)
    assert intake.take() is None
    intake.mature(STABLE_NS, lambda _: entry)
    assert _take_all(intake) == [entry]


def test_a_growing_file_starts_to_rest_again():
    """Each change begins a new interval, whether a scan sees it or the closer look does."""
    intake = Intake(STABLE_NS)
    intake.sight(Entry("a.png", 1, 1), 0)
    intake.sight(Entry("a.png", 2, 2), 60)
    intake.mature(110, lambda _: Entry("a.png", 2, 2))
    assert intake.take() is None
    intake.mature(160, lambda _: Entry("a.png", 3, 3))
    assert intake.take() is None
    intake.mature(260, lambda _: Entry("a.png", 3, 3))
    assert _take_all(intake) == [Entry("a.png", 3, 3)]


def test_a_file_that_is_being_written_gets_more_patience():
    """A scan in the middle of a slow write does not shorten the patience for a file that is not yet closed."""
    intake = Intake(STABLE_NS)
    entry = Entry("a.png", 1, 1)
    intake.sight(entry, 0, OPEN_WRITE_PATIENCE_NS)
    intake.sight(entry, 50)
    intake.mature(OPEN_WRITE_PATIENCE_NS - 1, lambda _: entry)
    assert intake.take() is None
    intake.mature(OPEN_WRITE_PATIENCE_NS, lambda _: entry)
    assert intake.take() == entry


def test_a_file_that_vanished_while_resting_is_forgotten():
    """Nothing is kept of a file that was taken away before it was ready."""
    intake = Intake(STABLE_NS)
    intake.sight(Entry("a.png", 1, 1), 0)
    intake.mature(STABLE_NS, lambda _: None)
    assert intake.take() is None
    assert not intake.expects("a.png")


def test_memory_is_bounded_by_what_the_folder_holds():
    """What is remembered of files that are gone is dropped when it outgrows the folder."""
    intake = Intake(STABLE_NS)
    for number in range(30_000):
        intake.remember(f"{number}.png", Mark(1, number, "00"))
    assert intake.is_crowded(present=100)
    intake.forget({f"{number}.png" for number in range(100)})
    assert not intake.is_crowded(present=100)
    assert intake.is_known(Entry("99.png", 1, 99))
    assert not intake.is_known(Entry("100.png", 1, 100))


entries = st.builds(
    Entry,
    path=st.sampled_from(["a.png", "b.png", "c.png"]),
    size_bytes=st.integers(0, 3),
    mtime_ns=st.integers(0, 3),
)


@given(st.lists(st.tuples(st.sampled_from(["sight", "complete", "mature"]), entries), max_size=60))
def test_every_last_state_is_taken_once_and_no_known_state_again(steps):
    """Whatever the order of events and scans: the final state of each file is dealt with, exactly once."""
    intake = Intake(STABLE_NS)
    disk: dict[str, Entry] = {}
    dealt_with: list[Entry] = []
    now_ns = 0

    def deal() -> None:
        while (entry := intake.take()) is not None:
            if entry == disk[entry.path] and not intake.is_known(entry):
                dealt_with.append(entry)
                intake.remember(entry.path, _mark(entry))

    for kind, entry in steps:
        now_ns += 40
        if kind == "mature":
            intake.mature(now_ns, disk.get)
        else:
            disk[entry.path] = entry
            (intake.complete(entry) if kind == "complete" else intake.sight(entry, now_ns))
        deal()
    for entry in disk.values():  # the next rescan
        intake.sight(entry, now_ns)
    intake.mature(now_ns + STABLE_NS, disk.get)
    deal()
    assert all(intake.is_known(entry) for entry in disk.values())
    assert all(before != after for before, after in itertools.pairwise(dealt_with))
    assert _take_all(intake) == []
