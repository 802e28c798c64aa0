"""The store of releases keeps its books in order, whatever it is asked for."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from update_books import Books
from update_rig import memory_folder

from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterator

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
