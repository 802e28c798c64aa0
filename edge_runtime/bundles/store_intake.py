"""The store as an installation sees it: what it has to respect, and the one commit at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundles import store_books as books
from edge_runtime.bundles import store_moves as moves
from edge_runtime.domain.update import StoredRelease, UpdateState

if TYPE_CHECKING:
    from edge_runtime.bundles.store_database import StoreDatabase


class StoreIntake:
    """Used by who holds the store's lock. Every method raises UpdateError where the database fails."""

    def __init__(self, database: StoreDatabase) -> None:
        self._db = database

    def trust_generation(self) -> int:
        """The committed one; -1: this device was never given a root key."""
        with self._db.read() as db:
            return books.mark(db, "trust_generation")

    def release(self, digest: str) -> StoredRelease | None:
        """What is known of a release."""
        with self._db.read() as db:
            return books.release(db, digest)

    def book(self, product: str) -> books.ProductBook:
        """Counters that a new release has to respect."""
        with self._db.read() as db:
            return books.book(db, product)

    def commit_trust(self, generation: int, text: str) -> None:
        """The trusted metadata in this folder hold from now on."""
        with self._db.write() as db:
            books.set_mark(db, "trust_generation", generation)
            self._db.tell(db, "trust", "", text)

    def commit_release(self, new: StoredRelease, generation: int, who: str, *, arm: bool) -> StoredRelease:
        """The one commit of an installation: trust, the release in the store, and that it is to be taken up.

        Args:
            new: its file stands in the store, synced; the state is decided here.
            generation: of the trusted metadata that vouch for it, synced.
            who: installed it.
            arm: the line is to take it up; it waits all the same while another release is pinned.
        """
        with self._db.write() as db:
            books.set_mark(db, "trust_generation", generation)
            entered = moves.enter(db, new, arm_it=arm)
            after = (
                "to be taken up by the line" if entered.state is UpdateState.ARMED else "waits beside the active one"
            )
            self._db.tell(db, "installed", new.digest, f"{moves.called(new)}, by {who}; {after}")
            return entered

    def drop_file(self, known: StoredRelease) -> None:
        """A quarantined release is to be copied anew: its file does not count any more."""
        with self._db.write() as db:
            books.write_release(db, replace(known, stored=False))

    def commit_quarantine(self, new: StoredRelease, why: str) -> StoredRelease:
        """Remember a release that failed before it was ever taken up; its file does not stay."""
        with self._db.write() as db:
            failed = replace(new, state=UpdateState.ROLLED_BACK, reason=why, stored=False)
            books.write_release(db, failed)
            self._db.tell(db, "rolled_back", new.digest, f"{moves.called(new)}: {why}")
            return failed
