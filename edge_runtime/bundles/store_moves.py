"""Releases change their state: what is read, judged by the rules and written in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundles import store_books as books
from edge_runtime.decision.update_rules import UpdateEvent, next_known_good, next_state
from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import ProductStanding, StoredRelease, UpdateState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

DUE = frozenset({UpdateState.ARMED, UpdateState.TRIAL})


def require(db: sqlite3.Connection, digest: str) -> StoredRelease:
    """The release.

    Raises:
        UpdateError: it is not known.
    """
    found = books.release(db, digest)
    if found is None:
        raise UpdateError(
            f"no release {digest[:12]}… is in the store", "`edge-runtime bundle list` shows what is installed."
        )
    return found


def moved(found: StoredRelease, event: UpdateEvent, doing: str) -> StoredRelease:
    """The release in its next state, not written yet.

    Args:
        doing: for the message: "it cannot …".

    Raises:
        UpdateError: the rules do not allow it.
    """
    state = next_state(found.state, event, found.attempts)
    if state is None:
        why = f" ({found.reason})" if found.reason else ""
        raise UpdateError(
            f"{called(found)} cannot {doing}: it is {found.state.value}{why}",
            "`edge-runtime bundle show` tells its story; a quarantined release comes back only with --again.",
        )
    return replace(found, state=state)


def called(release: StoredRelease) -> str:
    """A release as a technician calls it."""
    return f"{release.name} {release.version} ({release.digest[:12]}…)"


def standing_of(known: Sequence[StoredRelease], book: books.ProductBook) -> ProductStanding:
    """Which release is what."""
    in_state = {release.state: release for release in known}
    good = next((release for release in known if release.digest == book.known_good), None)
    if good is not None and good.terms.counter < book.min_counter:
        good = None
    return ProductStanding(in_state.get(UpdateState.ARMED), in_state.get(UpdateState.TRIAL), good, book.min_counter)


def standing_in(db: sqlite3.Connection, product: str) -> ProductStanding:
    """As `standing_of`, of what is written down."""
    return standing_of(books.releases(db, product), books.book(db, product))


def refuse_pinned(db: sqlite3.Connection, found: StoredRelease) -> None:
    """Nothing takes the place of a pinned release.

    Raises:
        UpdateError: another release of the product is pinned.
    """
    if pinned := pinned_other(db, found):
        raise UpdateError(
            f"{called(pinned)} is pinned: no other release of product {found.terms.product} takes its place",
            f"`edge-runtime bundle pin --off {pinned.digest[:12]}` first, if that is meant.",
        )


def pinned_other(db: sqlite3.Connection, found: StoredRelease) -> StoredRelease | None:
    """The pinned release of the same product, unless it is this one."""
    known = books.releases(db, found.terms.product)
    return next((release for release in known if release.pinned and release.digest != found.digest), None)


def arm(db: sqlite3.Connection, found: StoredRelease, reason: str, *, again: bool = False) -> StoredRelease:
    """Make a release the one to take up; another that waited for that or is in trial waits in the store again.

    Raises:
        UpdateError: its file is gone, it failed here (and not `again`), or it was revoked.
    """
    book = books.book(db, found.terms.product)
    if not found.stored:
        raise UpdateError(
            f"{called(found)} is remembered only because it failed here ({found.reason}); its file is gone",
            "Install it again with `edge-runtime bundle install --again`.",
        )
    if found.terms.counter < book.min_counter:
        raise UpdateError(
            f"{called(found)} was revoked: its counter is {found.terms.counter}, and {book.min_counter} is the lowest "
            "that may still run",
            "Install a newer release. A revoked one never runs again.",
        )
    armed = moved(found, UpdateEvent.REPRIEVED if again else UpdateEvent.REQUESTED, "be activated")
    supersede(db, found, f"superseded by {called(found)}")
    if found.digest == book.known_good:
        return found  # it runs, or runs again now that what was to take its place waits
    armed = replace(armed, attempts=0, reason=reason)
    books.write_release(db, armed)
    books.write_book(db, replace(book, min_counter=max(book.min_counter, found.terms.min_counter)))
    return armed


def supersede(db: sqlite3.Connection, newer: StoredRelease, reason: str) -> None:
    """Another release of the product that is armed or in trial waits in the store again; it did not fail."""
    for other in books.releases(db, newer.terms.product):
        if other.state in DUE and other.digest != newer.digest:
            books.write_release(db, replace(moved(other, UpdateEvent.SUPERSEDED, "wait"), reason=reason))


def fail(db: sqlite3.Connection, found: StoredRelease, why: str) -> None:
    """Quarantine a release. A last-known-good one makes way for the one that was confirmed before it.

    Raises:
        UpdateError: the rules do not allow it.
    """
    failed = replace(moved(found, UpdateEvent.FAILED, "be rolled back"), reason=why, pinned=False)
    books.write_release(db, failed)
    book = books.book(db, found.terms.product)
    if book.known_good == found.digest:
        best = next_known_good(books.releases(db, book.product), book.min_counter)
        books.write_book(db, replace(book, known_good="" if best is None else best.digest))


def enter(db: sqlite3.Connection, new: StoredRelease, *, arm_it: bool) -> StoredRelease:
    """Enter a release that was just installed: ARMED, or STAGED where it has to wait."""
    book = books.book(db, new.terms.product)
    armed = arm_it and pinned_other(db, new) is None
    if armed:
        supersede(db, new, f"superseded by {called(new)}")
    floor = max(book.min_counter, new.terms.min_counter) if armed else book.min_counter
    entered = replace(new, state=UpdateState.ARMED if armed else UpdateState.STAGED)
    books.write_release(db, entered)
    newest = max(book.newest_counter, new.terms.counter)
    books.write_book(db, replace(book, min_counter=floor, newest_counter=newest))
    return entered
