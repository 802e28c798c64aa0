"""From what happens to a release on a device to its state. Pure: one table, and the choices that follow from the books.

    IDLE ──begun──▶ COPYING ──verified──▶ VERIFIED ──placed──▶ STAGED ──proving──▶ SELFTEST
    SELFTEST ──committed──▶ ARMED ──loading──▶ TRIAL ──confirmed──▶ CONFIRMED        (waits instead: STAGED)
    COPYING, VERIFIED, STAGED, SELFTEST ──refused, cut──▶ IDLE, nothing left
    SELFTEST, ARMED, TRIAL ──failed──▶ ROLLED_BACK, quarantined

Only STAGED (installed and waiting), ARMED, TRIAL, CONFIRMED and ROLLED_BACK are ever written down: whatever comes
before the one commit is, after a power cut, as if it had never begun.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge_runtime.domain.update import ReleaseTerms, StoredRelease

MAX_ATTEMPTS: Final = 3
"""A release that is to be loaded for its trial more often than this is in a crash loop: it is rolled back instead."""


class UpdateEvent(Enum):
    """What moves a release from state to state."""

    BEGUN = auto()
    """Its signature, its terms and the room for it are sound; its bytes are read now."""
    VERIFIED = auto()
    """Our copy is what was signed."""
    PLACED = auto()
    """Our copy stands in the store, synced."""
    PROVING = auto()
    WAITS = auto()
    """Committed, not to be taken up by itself."""
    COMMITTED = auto()
    """Committed, to be taken up."""
    ABANDONED = auto()
    """Refused, cut off or interrupted before the commit: nothing of it stays."""
    LOADING = auto()
    """An attempt of its trial begins."""
    PAUSED = auto()
    """The line is stopped on purpose."""
    CONFIRMED = auto()
    FAILED = auto()
    SUPERSEDED = auto()
    """A newer one was installed before its trial was over."""
    REQUESTED = auto()
    """A person wants it."""
    REPRIEVED = auto()
    """A person wants it although it is quarantined."""


_S, _E = UpdateState, UpdateEvent
TRANSITIONS: Final[Mapping[UpdateState, Mapping[UpdateEvent, UpdateState]]] = {
    _S.IDLE: {_E.BEGUN: _S.COPYING},
    _S.COPYING: {_E.VERIFIED: _S.VERIFIED, _E.ABANDONED: _S.IDLE},
    _S.VERIFIED: {_E.PLACED: _S.STAGED, _E.ABANDONED: _S.IDLE},
    _S.STAGED: {
        _E.PROVING: _S.SELFTEST,
        _E.ABANDONED: _S.IDLE,
        _E.REQUESTED: _S.ARMED,
        _E.REPRIEVED: _S.ARMED,
        _E.FAILED: _S.ROLLED_BACK,
    },
    _S.SELFTEST: {
        _E.COMMITTED: _S.ARMED,
        _E.WAITS: _S.STAGED,
        _E.ABANDONED: _S.IDLE,
        _E.FAILED: _S.ROLLED_BACK,
    },
    _S.ARMED: {
        _E.LOADING: _S.TRIAL,
        _E.PAUSED: _S.ARMED,
        _E.FAILED: _S.ROLLED_BACK,
        _E.SUPERSEDED: _S.STAGED,
        _E.REQUESTED: _S.ARMED,
        _E.REPRIEVED: _S.ARMED,
    },
    _S.TRIAL: {
        _E.LOADING: _S.TRIAL,
        _E.PAUSED: _S.ARMED,
        _E.CONFIRMED: _S.CONFIRMED,
        _E.FAILED: _S.ROLLED_BACK,
        _E.SUPERSEDED: _S.STAGED,
    },
    _S.CONFIRMED: {_E.REQUESTED: _S.ARMED, _E.REPRIEVED: _S.ARMED, _E.FAILED: _S.ROLLED_BACK},
    _S.ROLLED_BACK: {_E.FAILED: _S.ROLLED_BACK, _E.REPRIEVED: _S.ARMED},
}
"""State → event → next state. What is not in it is refused."""


def next_state(state: UpdateState, event: UpdateEvent, attempts: int = 0) -> UpdateState | None:
    """The state after an event; None: it cannot happen in this state, or the attempts of a trial are used up."""
    if event is UpdateEvent.LOADING and attempts >= MAX_ATTEMPTS:
        return None
    return TRANSITIONS[state].get(event)


def unsuitable(terms: ReleaseTerms, hardware: str, min_counter: int, newest_counter: int) -> str | None:
    """Why a signed release is not to be installed here, before its payload is read; None: it may be.

    Args:
        terms: what it demands.
        hardware: the device's.
        min_counter: of its product, on this device.
        newest_counter: the largest one of its product that this device has taken.
    """
    if terms.hardware and hardware not in terms.hardware:
        return f"it is for {' or '.join(terms.hardware)}, and this device is {hardware}"
    if terms.counter < min_counter:
        return f"it was revoked: its counter is {terms.counter}, and {min_counter} is the lowest that may still run"
    if terms.counter < newest_counter:
        return f"it is older than what this device has already taken: counter {terms.counter}, after {newest_counter}"
    return None


def may_run(release: StoredRelease, min_counter: int) -> bool:
    """True if a rollback or a person may bring it back: confirmed once, its file there, neither failed nor revoked."""
    return (
        release.confirmed > 0
        and release.stored
        and release.state is not UpdateState.ROLLED_BACK
        and release.terms.counter >= min_counter
    )


def rollback_target(
    releases: Sequence[StoredRelease], current: StoredRelease, min_counter: int
) -> StoredRelease | None:
    """The release of the same product that ran before `current`: the next lower counter that may run."""
    older = [r for r in releases if r.terms.counter < current.terms.counter and may_run(r, min_counter)]
    return max(older, key=lambda release: release.terms.counter, default=None)


def next_known_good(releases: Iterable[StoredRelease], min_counter: int) -> StoredRelease | None:
    """The one that takes the place of a last-known-good release that cannot run any more: the last one confirmed."""
    sound = [release for release in releases if may_run(release, min_counter)]
    return max(sound, key=lambda release: release.confirmed, default=None)


def to_remove(releases: Sequence[StoredRelease], known_good: str, min_counter: int, keep: int) -> list[StoredRelease]:
    """Releases of a product whose files go, after a confirmation.

    The last-known-good, an armed, a trial and a pinned one always stay; then the newest, sound ones first, until `keep`
    are there. What was revoked goes.
    """
    stored = [release for release in releases if release.stored]
    held = [release for release in stored if _is_held(release, known_good)]
    rest = [release for release in stored if not _is_held(release, known_good)]
    rest.sort(key=lambda r: (r.state is not UpdateState.ROLLED_BACK, r.terms.counter), reverse=True)
    sound = [release for release in rest if release.terms.counter >= min_counter]
    staying = sound[: max(0, keep - len(held))]
    return [release for release in rest if release not in staying]


def _is_held(release: StoredRelease, known_good: str) -> bool:
    return release.digest == known_good or release.pinned or release.state in {UpdateState.ARMED, UpdateState.TRIAL}
