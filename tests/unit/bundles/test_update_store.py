"""The store of releases: what each step leaves in the books, for every process that has it open."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from update_rig import memory_folder

from edge_runtime.bundles.store_open import open_store
from edge_runtime.domain.errors import BundleError, UpdateError
from edge_runtime.domain.update import ReleaseTerms, StoredRelease, UpdateState
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.bundles.store import ReleaseStore

GOOD = b"a release"


def check(path: Path, digest: str) -> None:
    """Stands in for the hashing: a file is whole if it says so."""
    if not path.exists() or path.read_bytes() != GOOD + digest.encode():
        raise BundleError(f"{path} is damaged", "Copy it again.")


class Books:
    """A store, and releases to put into it."""

    def __init__(self, folder: Path, keep: int = 5) -> None:
        self.folder, self.keep = folder, keep
        self.store = self.open()

    def open(self) -> ReleaseStore:
        """Open it once more."""
        store = open_store(self.folder / "updates", SimulatedClock(), self.keep, check)
        assert not hasattr(store, "refusal")
        return store  # type: ignore[return-value]

    def put(self, counter: int, product: str = "cap", *, arm: bool = True, min_counter: int = 0) -> str:
        """Install release `counter`; its digest."""
        digest = f"{counter:064x}"
        files = self.store.files
        files.make_folder(files.bundle(digest).parent)
        files.bundle(digest).write_bytes(GOOD + digest.encode())
        terms = ReleaseTerms(product, counter, min_counter, ())
        new = StoredRelease(digest, terms, product, f"1.{counter}", 0, UpdateState.SELFTEST, 0, 7)
        self.store.intake.commit_release(new, counter, "test", arm=arm)
        return digest

    def run(self, counter: int, product: str = "cap", **terms: int) -> str:
        """Install, try and confirm it."""
        digest = self.put(counter, product, **terms)  # type: ignore[arg-type]
        self.store.begin_trial(digest)
        self.store.confirm(digest)
        return digest

    def state(self, digest: str) -> UpdateState:
        """In the books."""
        return self.store.find(digest).state


@pytest.fixture
def books() -> Iterator[Books]:
    """An empty store."""
    with memory_folder() as folder:
        made = Books(folder)
        yield made
        made.store.close()


def test_an_empty_store_runs_nothing_and_says_what_to_do(books: Books) -> None:
    """For a product that was never installed."""
    with pytest.raises(UpdateError, match="no release of product cap") as error:
        books.store.resolve_start("cap")
    assert "bundle install" in error.value.action
    assert books.store.intake.trust_generation() == -1


def test_a_release_goes_from_armed_to_last_known_good(books: Books) -> None:
    """And every step is seen by another process, whose generation counter grows with it."""
    other = books.open()
    seen = [other.generation()]
    digest = books.put(1)
    seen.append(other.generation())
    assert other.standing("cap").armed == other.find(digest)
    assert other.standing("cap").active is None
    books.store.begin_trial(digest)
    seen.append(other.generation())
    assert other.standing("cap").active == other.find(digest)
    books.store.confirm(digest)
    seen.append(other.generation())
    known_good = other.standing("cap").known_good
    assert known_good is not None
    assert (known_good.state, known_good.attempts, known_good.confirmed) == (UpdateState.CONFIRMED, 0, 1)
    assert seen == sorted(set(seen))
    other.close()


def test_a_trial_that_is_stopped_on_purpose_costs_no_attempt(books: Books) -> None:
    """Ten restarts by hand are no crash loop; four crashes are."""
    books.run(1)
    digest = books.put(2)
    for _ in range(10):
        books.store.begin_trial(books.store.resolve_start("cap").digest)
        books.store.pause_trial(digest)
    assert books.store.find(digest).attempts == 0
    for _ in range(3):
        books.store.begin_trial(books.store.resolve_start("cap").digest)
    assert books.store.resolve_start("cap").version == "1.1"
    assert books.state(digest) is UpdateState.ROLLED_BACK


def test_a_newer_release_takes_the_place_of_one_that_waits_or_is_tried(books: Books) -> None:
    """The older one did not fail: it waits in the store, and can be activated."""
    books.run(1)
    second, third = books.put(2), books.put(3)
    assert (books.state(second), books.state(third)) == (UpdateState.STAGED, UpdateState.ARMED)
    books.store.begin_trial(third)
    fourth = books.put(4)
    assert (books.state(third), books.state(fourth)) == (UpdateState.STAGED, UpdateState.ARMED)
    with pytest.raises(UpdateError, match="cannot be confirmed"):
        books.store.confirm(third)
    assert books.store.request_activation(third, "me", "better").state is UpdateState.ARMED
    assert books.state(fourth) is UpdateState.STAGED


def test_a_release_that_waits_is_a_candidate_until_something_newer_decides(books: Books) -> None:
    """For shadow and canary; a failed candidate is none."""
    books.run(5)
    older, newer = books.put(6, arm=False), books.put(7, arm=False)
    assert [one.digest for one in books.store.candidates("cap")] == [newer, older]
    assert books.store.standing("cap").armed is None
    books.store.roll_back(newer, "other scores")
    assert [one.digest for one in books.store.candidates("cap")] == [older]
    books.run(8)
    assert books.store.candidates("cap") == []


def test_a_pinned_release_gives_way_to_nothing_but_its_own_failure(books: Books) -> None:
    """New ones wait, a person is told, clean-up passes it by; a rollback takes the pin out."""
    first, pinned = books.run(1), books.run(2)
    books.store.pin(pinned, "me", "audit", on=True)
    waiting = books.put(3)
    assert books.state(waiting) is UpdateState.STAGED
    with pytest.raises(UpdateError, match="is pinned"):
        books.store.request_activation(waiting, "me", "now")
    with pytest.raises(UpdateError, match="is pinned"):
        books.store.pin(first, "me", "two pins", on=True)
    assert books.store.request_rollback("cap", "me", "worse").digest == first
    assert not books.store.find(pinned).pinned
    assert books.store.pin(first, "me", "this one", on=True).pinned
    assert not books.store.pin(first, "me", "no", on=False).pinned


def test_the_last_five_versions_stay(books: Books) -> None:
    """Per product; the files of the others are gone, and another product's are not touched."""
    books.run(1, "lid")
    for counter in range(2, 10):
        books.run(counter)
    assert [one.terms.counter for one in books.store.releases("cap")] == [9, 8, 7, 6, 5]
    assert [one.terms.counter for one in books.store.releases("lid")] == [1]
    there = {entry.name for entry in (books.store.files.root / "store").iterdir()}
    assert there == {one.digest for one in books.store.releases()}


def test_rollbacks_by_hand_go_back_one_after_the_other(books: Books) -> None:
    """On trial: to the last-known-good at once. Else the next older one is armed, again and again."""
    first, second, third = books.run(1), books.run(2), books.run(3)
    fourth = books.put(4)
    books.store.begin_trial(fourth)
    assert books.store.request_rollback("cap", "me", "bad").digest == third
    assert books.state(fourth) is UpdateState.ROLLED_BACK
    for target in (second, first):
        assert books.store.request_rollback("cap", "me", "worse").digest == target
        books.store.begin_trial(target)
        books.store.confirm(target)
    with pytest.raises(UpdateError, match="no earlier release"):
        books.store.request_rollback("cap", "me", "more")
    assert books.state(third) is UpdateState.CONFIRMED
    active = books.store.standing("cap").active
    assert active is not None
    assert active.digest == first


def test_activating_what_runs_calls_off_what_was_to_take_its_place(books: Books) -> None:
    """It needs no trial: it is the last-known-good one."""
    good, new = books.run(1), books.put(2)
    assert books.store.request_activation(good, "me", "stay").state is UpdateState.CONFIRMED
    assert books.state(new) is UpdateState.STAGED
    assert books.store.standing("cap").armed is None


def test_a_quarantined_release_comes_back_only_when_it_is_meant(books: Books) -> None:
    """With `again`; one whose file is gone has to be installed again."""
    books.run(1)
    failed = books.put(2)
    books.store.roll_back(failed, "wrong scores")
    with pytest.raises(UpdateError, match=r"rolled_back \(wrong scores\)"):
        books.store.request_activation(failed, "me", "now")
    assert books.store.request_activation(failed, "me", "lamp mended", again=True).state is UpdateState.ARMED
    gone = books.store.intake.commit_quarantine(books.store.find(failed), "self-test")
    with pytest.raises(UpdateError, match="its file is gone"):
        books.store.request_activation(gone.digest, "me", "now", again=True)


def test_a_revocation_counts_from_the_moment_that_its_bearer_is_armed(books: Books) -> None:
    """A release that merely waits revokes nothing yet; afterwards nothing below runs, not even the one before it."""
    books.run(1)
    books.run(2)
    bearer = books.put(5, arm=False, min_counter=4)
    assert books.store.standing("cap").min_counter == 0
    books.store.request_activation(bearer, "me", "now")
    standing = books.store.standing("cap")
    assert (standing.min_counter, standing.known_good) == (4, None)
    books.store.begin_trial(bearer)
    assert books.store.roll_back(bearer, "wrong scores") is None
    with pytest.raises(UpdateError, match="no release of product cap"):
        books.store.resolve_start("cap")


def test_a_release_is_found_by_what_a_technician_types(books: Books) -> None:
    """Digest, its beginning, or name and version; nothing ambiguous."""
    first = books.run(0xABCDEF1)
    books.run(0xABCDEF2)
    assert books.store.find(first).version == f"1.{0xABCDEF1}"
    assert books.store.find(f"cap@1.{0xABCDEF2}").terms.counter == 0xABCDEF2
    for text in ("cap@9", "000", "0" * 20):
        with pytest.raises(UpdateError, match="can be meant by"):
            books.store.find(text)


def test_the_history_tells_the_story_and_stays_bounded(books: Books) -> None:
    """Newest first; a thousand entries at most."""
    digest = books.run(1)
    assert [entry.kind for entry in books.store.history()] == ["confirmed", "trial", "installed"]
    assert {entry.digest for entry in books.store.history()} == {digest}
    for number in range(1_005):
        books.store.note("note", str(number))
    assert len(books.store.history(5_000)) == 1_000
    assert books.store.history(1)[0].text == "1004"


def test_a_database_of_a_newer_version_is_left_alone(books: Books) -> None:
    """A downgrade of the software does not guess."""
    with sqlite3.connect(books.store.files.database) as connection:
        connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(UpdateError, match="newer edge_runtime"):
        books.open()


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "wait", "begin", "pause", "confirm", "fail", "rollback", "activate", "again", "pin", "start"]
        ),
        st.integers(0, 7),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(COMMANDS)
def test_whatever_is_asked_for_the_books_stay_in_order(commands: list[tuple[str, int]]) -> None:
    """One release at most is armed or tried, what runs has its file, the floor never falls, and errors are typed."""
    with memory_folder() as folder:
        books = Books(folder, keep=2)
        counters, floor = itertools.count(1), 0
        for command, pick in commands:
            _do(books, command, pick, counters)
            standing = books.store.standing("cap")
            due = [one for one in books.store.releases() if one.state in {UpdateState.ARMED, UpdateState.TRIAL}]
            assert len(due) <= 1
            assert all(one.stored for one in (*due, standing.active) if one is not None)
            assert standing.min_counter >= floor
            floor = standing.min_counter
        books.store.close()
        again = Books(folder, keep=2)
        assert again.store.standing("cap").min_counter == floor
        again.store.close()


def _do(books: Books, command: str, pick: int, counters: Iterator[int]) -> None:
    known = books.store.releases()
    digest = known[pick % len(known)].digest if known else "0" * 64
    store = books.store
    with contextlib.suppress(UpdateError):
        match command:
            case "put" | "wait":
                counter = next(counters)
                books.put(counter, arm=command == "put", min_counter=counter - 3 if pick == 7 and counter > 3 else 0)
            case "begin":
                store.begin_trial(digest)
            case "pause":
                store.pause_trial(digest)
            case "confirm":
                store.confirm(digest)
            case "fail":
                store.roll_back(digest, "it failed")
            case "rollback":
                store.request_rollback("cap", "me", "why")
            case "activate" | "again":
                store.request_activation(digest, "me", "why", again=command == "again")
            case "pin":
                store.pin(digest, "me", "why", on=pick % 2 == 0)
            case _:
                store.resolve_start("cap")
