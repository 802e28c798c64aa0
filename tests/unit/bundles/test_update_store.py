"""The store of releases: what each step leaves in the books, for every process that has it open."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from update_books import Books
from update_rig import memory_folder

from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterator


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
