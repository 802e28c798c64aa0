from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.update_rules import (
    MAX_ATTEMPTS,
    TRANSITIONS,
    UpdateEvent,
    may_run,
    next_known_good,
    next_state,
    rollback_target,
    to_remove,
    unsuitable,
)
from edge_runtime.domain.update import ReleaseTerms, StoredRelease, UpdateState

BEFORE_THE_COMMIT = {UpdateState.IDLE, UpdateState.COPYING, UpdateState.VERIFIED, UpdateState.SELFTEST}
WRITTEN = set(UpdateState) - BEFORE_THE_COMMIT
"""The states that a release in the store can be found in."""


def release(counter: int, state: UpdateState = UpdateState.CONFIRMED, **changes: object) -> StoredRelease:
    """A release that was confirmed when its number came up."""
    found = StoredRelease(
        f"{counter:064x}",
        ReleaseTerms("cap", counter, 0, ()),
        "cap",
        f"1.{counter}",
        0,
        state,
        0,
        0,
        "",
        confirmed=counter,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def test_every_state_has_its_row() -> None:
    """And every state can be reached from IDLE."""
    assert set(TRANSITIONS) == set(UpdateState)
    reached, edge = {UpdateState.IDLE}, {UpdateState.IDLE}
    while edge:
        edge = {state for start in edge for state in TRANSITIONS[start].values()} - reached
        reached |= edge
    assert reached == set(UpdateState)


@given(st.lists(st.sampled_from(UpdateEvent)))
def test_nothing_decides_that_was_not_committed(events: list[UpdateEvent]) -> None:
    """TRIAL is reached through ARMED alone, ARMED from SELFTEST or by a person, CONFIRMED from TRIAL alone."""
    state = UpdateState.IDLE
    for event in events:
        following = next_state(state, event)
        if following is None:
            continue
        if following is UpdateState.TRIAL:
            assert state in {UpdateState.ARMED, UpdateState.TRIAL}
        if following is UpdateState.CONFIRMED:
            assert state is UpdateState.TRIAL
        if following is UpdateState.ARMED and state in BEFORE_THE_COMMIT:
            assert state is UpdateState.SELFTEST
        state = following


@given(st.sampled_from(UpdateState), st.integers(0, 10))
def test_a_trial_is_begun_so_often_and_no_more(state: UpdateState, attempts: int) -> None:
    """The fourth load of a release that was never confirmed does not happen."""
    loads = next_state(state, UpdateEvent.LOADING, attempts) is not None
    assert loads == (state in {UpdateState.ARMED, UpdateState.TRIAL} and attempts < MAX_ATTEMPTS)


def test_a_quarantined_release_comes_back_only_by_a_reprieve() -> None:
    """A mere request is not enough."""
    assert next_state(UpdateState.ROLLED_BACK, UpdateEvent.REQUESTED) is None
    assert next_state(UpdateState.ROLLED_BACK, UpdateEvent.REPRIEVED) is UpdateState.ARMED


def test_what_was_not_committed_is_abandoned_without_a_trace() -> None:
    """A cut before the commit leads back to IDLE; after it no state is ever unwritten."""
    for state in (UpdateState.COPYING, UpdateState.VERIFIED, UpdateState.STAGED, UpdateState.SELFTEST):
        assert next_state(state, UpdateEvent.ABANDONED) is UpdateState.IDLE
    for state in WRITTEN - {UpdateState.STAGED}:
        assert not BEFORE_THE_COMMIT & set(TRANSITIONS[state].values())


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (ReleaseTerms("cap", 5, 0, ()), None),
        (ReleaseTerms("cap", 5, 0, ("x86_64", "jetson")), None),
        (ReleaseTerms("cap", 5, 0, ("jetson", "rpi5")), "it is for jetson or rpi5, and this device is x86_64"),
        (ReleaseTerms("cap", 3, 0, ()), "3 is"),
        (ReleaseTerms("cap", 4, 0, ()), "older"),
    ],
)
def test_a_release_must_suit_the_device_and_be_newer(terms: ReleaseTerms, why: str | None) -> None:
    """Hardware, revocation and age, in words; a device whose floor is 4 has taken 5 already."""
    found = unsuitable(terms, "x86_64", 4, 5)
    assert (found is None) == (why is None)
    if why == "3 is":
        assert found == "it was revoked: its counter is 3, and 4 is the lowest that may still run"
    elif why is not None:
        assert found is not None
        assert why in found


RELEASES = st.lists(
    st.builds(
        release,
        st.integers(1, 30),
        st.sampled_from(sorted(WRITTEN)),
        confirmed=st.integers(0, 5),
        stored=st.booleans(),
    ),
    unique_by=lambda found: found.digest,
    max_size=12,
)


@given(RELEASES, st.integers(0, 30), st.integers(0, 30))
def test_a_rollback_goes_to_the_next_older_one_that_may_run(
    releases: list[StoredRelease], current: int, floor: int
) -> None:
    """Never to a failed, a revoked, a never confirmed one, or one whose file is gone; never forward."""
    target = rollback_target(releases, release(current), floor)
    possible = [one.terms.counter for one in releases if may_run(one, floor) and one.terms.counter < current]
    assert (None if target is None else target.terms.counter) == max(possible, default=None)
    if target is not None:
        assert target.state is not UpdateState.ROLLED_BACK
        assert target.terms.counter >= floor


@given(RELEASES, st.integers(0, 30), st.integers(2, 6), st.data())
def test_what_is_removed_is_neither_in_use_nor_among_the_newest(
    releases: list[StoredRelease], floor: int, keep: int, data: st.DataObject
) -> None:
    """At most `keep` stay, unless more are armed, on trial, pinned or last-known-good; of sound ones the newest."""
    known_good = data.draw(st.sampled_from(["", *(one.digest for one in releases)]))
    gone = to_remove(releases, known_good, floor, keep)
    held = [
        one
        for one in releases
        if one.stored and (one.digest == known_good or one.state in {UpdateState.ARMED, UpdateState.TRIAL})
    ]
    assert not {one.digest for one in held} & {one.digest for one in gone}
    left = [one for one in releases if one.stored and one not in gone]
    assert len(left) <= max(keep, len(held))
    assert all(one.terms.counter >= floor for one in left if one not in held)
    sound_gone = [
        one.terms.counter
        for one in gone
        if one.terms.counter >= floor and one.state in WRITTEN - {UpdateState.ROLLED_BACK}
    ]
    sound_left = [one.terms.counter for one in left if one not in held and one.state is not UpdateState.ROLLED_BACK]
    if sound_gone and sound_left:
        assert max(sound_gone) <= min(sound_left)


@given(RELEASES, st.integers(0, 30))
def test_the_next_last_known_good_is_the_one_confirmed_last(releases: list[StoredRelease], floor: int) -> None:
    """Among those that may run."""
    found = next_known_good(releases, floor)
    possible = [one.confirmed for one in releases if may_run(one, floor)]
    assert (0 if found is None else found.confirmed) == max(possible, default=0)
