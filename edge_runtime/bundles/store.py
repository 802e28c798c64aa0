"""The store of releases: files beside one SQLite database, whose commits alone decide what is there and what runs."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles import store_books as books
from edge_runtime.bundles import store_moves as moves
from edge_runtime.bundles.store_database import StoreDatabase
from edge_runtime.bundles.store_files import UpdateBusyError
from edge_runtime.bundles.store_intake import StoreIntake
from edge_runtime.bundles.store_schema import told
from edge_runtime.decision import update_rules as rules
from edge_runtime.decision.update_rules import MAX_ATTEMPTS, UpdateEvent
from edge_runtime.domain.errors import BundleError, UpdateError
from edge_runtime.domain.update import StoredRelease, UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.bundles.store_files import StoreFiles
    from edge_runtime.domain.update import HistoryEntry, ProductStanding
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)


class ReleaseStore:
    """An `UpdateStore` on its database. Opened by `store_open.open_store`."""

    def __init__(self, files: StoreFiles, clock: Clock, check: Callable[[Path, str], None], keep_versions: int) -> None:
        """Open the database that is there and sound.

        Args:
            files: where everything lies.
            clock: for the history.
            check: raises BundleError unless the file at this path is, byte for byte, the release of this digest.
            keep_versions: per product.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        self.files = files
        self._check = check
        self._keep = keep_versions
        self._db = StoreDatabase(files.database, clock)
        self.intake: Final = StoreIntake(self._db)

    def flaw(self) -> str | None:
        """See `store_schema.flaw`."""
        return self._db.flaw()

    def products(self) -> Sequence[str]:
        """See `UpdateStore`."""
        with self._db.read() as db:
            return books.products(db)

    def releases(self, product: str | None = None) -> Sequence[StoredRelease]:
        """See `UpdateStore`."""
        with self._db.read() as db:
            return books.releases(db, product)

    def find(self, text: str) -> StoredRelease:
        """See `UpdateStore`."""
        return find_among(self.releases(), text)

    def standing(self, product: str) -> ProductStanding:
        """See `UpdateStore`."""
        with self._db.read() as db:
            return moves.standing_in(db, product)

    def generation(self) -> int:
        """See `UpdateStore`."""
        with self._db.read() as db:
            return books.mark(db, "revision")

    def path(self, digest: str) -> Path:
        """See `UpdateStore`."""
        return self.files.bundle(digest)

    def resolve_start(self, product: str) -> StoredRelease:
        """See `UpdateStore`."""
        good = self.sound_known_good(product)
        try:
            self.sweep()
            while (due := self._due(product)) is not None:
                trouble = self._trouble(due)
                if trouble is None:
                    return due
                self.roll_back(due.digest, trouble)
        except UpdateError as error:  # a full or failing disk: nothing new is tried on it, and the line starts
            _log.warning("%s", error.what)
        if good is None:
            raise UpdateError(
                f"no release of product {product} on this device may run",
                "Install one: `edge-runtime bundle install FILE`. `edge-runtime bundle list` shows what there is.",
            )
        return good

    def begin_trial(self, digest: str) -> StoredRelease:
        """See `UpdateStore`."""
        with self._db.write() as db:
            found = moves.require(db, digest)
            begun = replace(
                moves.moved(found, UpdateEvent.LOADING, "be loaded for its trial"),
                attempts=found.attempts + 1,
                reason=f"in trial, attempt {found.attempts + 1} of {MAX_ATTEMPTS}",
            )
            books.write_release(db, begun)
            self._db.tell(db, "trial", digest, f"attempt {begun.attempts} of {MAX_ATTEMPTS}")
            return begun

    def pause_trial(self, digest: str) -> None:
        """See `UpdateStore`."""
        with self._db.write() as db:
            found = books.release(db, digest)
            if found is not None and found.state is UpdateState.TRIAL:
                paused = moves.moved(found, UpdateEvent.PAUSED, "be paused")
                reason = "its trial goes on at the next start"
                books.write_release(db, replace(paused, attempts=max(0, found.attempts - 1), reason=reason))

    def confirm(self, digest: str) -> StoredRelease:
        """See `UpdateStore`."""
        with self._db.write() as db:
            found = moves.moved(moves.require(db, digest), UpdateEvent.CONFIRMED, "be confirmed")
            number = books.mark(db, "confirmations") + 1
            book = books.book(db, found.terms.product)
            self.files.write_receipt(found, number, book.min_counter)
            done = replace(found, confirmed=number, attempts=0, reason="")
            books.write_release(db, done)
            books.set_mark(db, "confirmations", number)
            books.write_book(db, replace(book, known_good=digest))
            self._db.tell(db, "confirmed", digest, "it is the last-known-good release now")
        self._tidy(found.terms.product)
        return done

    def roll_back(self, digest: str, why: str) -> StoredRelease | None:
        """See `UpdateStore`."""
        with self._db.write() as db:
            found = moves.require(db, digest)
            if found.state in {UpdateState.STAGED, *moves.DUE}:
                moves.fail(db, found, why)
                self._db.tell(db, "rolled_back", digest, why)
            return moves.standing_in(db, found.terms.product).known_good

    def request_activation(self, digest: str, who: str, why: str, *, again: bool = False) -> StoredRelease:
        """See `UpdateStore`."""
        with self._db.write() as db:
            found = moves.require(db, digest)
            moves.refuse_pinned(db, found)
            armed = moves.arm(db, found, f"asked for by {who}: {why}", again=again)
            self._db.tell(db, "requested", digest, f"activation, by {who}: {why}")
            return armed

    def request_rollback(self, product: str, who: str, why: str) -> StoredRelease:
        """See `UpdateStore`."""
        reason = f"rolled back by {who}: {why}"
        with self._db.write() as db:
            standing = moves.standing_in(db, product)
            due, good = standing.armed or standing.trial, standing.known_good
            if due is not None:
                moves.fail(db, due, reason)
                self._db.tell(db, "rolled_back", due.digest, reason)
                if good is not None:
                    return good
            current = due or good
            known = books.releases(db, product)
            target = None if current is None else rules.rollback_target(known, current, standing.min_counter)
            if current is None or target is None:
                raise UpdateError(
                    f"there is no earlier release of product {product} that may run: nothing was changed",
                    f"`edge-runtime bundle list` shows what there is. Revoked releases (counter below "
                    f"{standing.min_counter}) and quarantined ones do not come back by a rollback.",
                )
            if due is None:
                books.write_release(db, replace(current, pinned=False, reason=reason))
            armed = moves.arm(db, target, reason)
            self._db.tell(db, "requested", target.digest, reason)
            return armed

    def pin(self, digest: str, who: str, why: str, *, on: bool) -> StoredRelease:
        """See `UpdateStore`."""
        with self._db.write() as db:
            found = moves.require(db, digest)
            if on:
                moves.refuse_pinned(db, found)
            changed = replace(found, pinned=on)
            books.write_release(db, changed)
            self._db.tell(db, "pinned" if on else "unpinned", digest, f"by {who}: {why}")
            return changed

    def candidates(self, product: str) -> Sequence[StoredRelease]:
        """See `UpdateStore`."""
        with self._db.read() as db:
            known, standing = books.releases(db, product), moves.standing_in(db, product)
        active = 0 if standing.active is None else standing.active.terms.counter
        above = max(standing.min_counter - 1, active)
        return [r for r in known if r.state is UpdateState.STAGED and r.stored and r.terms.counter > above]

    def note(self, kind: str, text: str, digest: str = "") -> None:
        """See `UpdateStore`."""
        with self._db.write() as db:
            self._db.tell(db, kind, digest, text)

    def history(self, limit: int = 100) -> Sequence[HistoryEntry]:
        """See `UpdateStore`."""
        with self._db.read() as db:
            return books.history(db, limit)

    def close(self) -> None:
        """See `UpdateStore`."""
        self._db.close()

    def sweep(self) -> None:
        """Remove what no commit knows of, unless an installation is running just now.

        Raises:
            UpdateError: the disk does not let us.
        """
        with told(self.files.root, "tidy"), contextlib.suppress(UpdateBusyError), self.files.lock():
            self.sweep_locked()

    def sweep_locked(self, *, quietly: bool = False) -> None:
        """As `sweep`, by who holds the lock.

        Args:
            quietly: what goes is not worth a line in the history.

        Raises:
            OSError: the disk does not let us.
        """
        with self._db.read() as db:
            stored = [release.digest for release in books.releases(db, None) if release.stored]
            generation = books.mark(db, "trust_generation")
        gone = self.files.sweep(stored, generation)
        if gone and not quietly:
            with contextlib.suppress(UpdateError):  # tidy without a line in the history is still tidy
                self.note("swept", f"removed, because nothing committed needs it: {', '.join(gone)}")

    def _due(self, product: str) -> StoredRelease | None:
        standing = self.standing(product)
        return standing.armed or standing.trial

    def _trouble(self, due: StoredRelease) -> str | None:
        if due.attempts >= MAX_ATTEMPTS:
            return f"crash loop: loaded {due.attempts} times and never confirmed"
        return self._damage(due)

    def _damage(self, release: StoredRelease) -> str | None:
        try:
            self._check(self.path(release.digest), release.digest)
        except BundleError as error:
            return f"its file is damaged: {error.what}"
        return None

    def sound_known_good(self, product: str) -> StoredRelease | None:
        """See `UpdateStore`."""
        book, known = self.intake.book(product), {release.digest: release for release in self.releases(product)}
        good = known.get(book.known_good)
        while good is not None and good.terms.counter >= book.min_counter:
            if (damage := self._damage(good)) is None:
                return good
            with contextlib.suppress(UpdateError), self._db.write() as db:
                moves.fail(db, good, damage)
                self._db.tell(db, "rolled_back", good.digest, damage)
            del known[good.digest]
            good = rules.next_known_good(known.values(), book.min_counter)
        return None

    def _tidy(self, product: str) -> None:
        """Old versions go, out of the books first."""
        with self._db.write() as db:
            book = books.book(db, product)
            for old in rules.to_remove(books.releases(db, product), book.known_good, book.min_counter, self._keep):
                if old.state is UpdateState.ROLLED_BACK:
                    books.write_release(db, replace(old, stored=False))
                else:
                    books.forget_release(db, old.digest)
                self._db.tell(db, "removed", old.digest, f"{moves.called(old)} made room for newer versions")
        self.sweep()


def find_among(releases: Sequence[StoredRelease], text: str) -> StoredRelease:
    """See `UpdateStore.find`."""
    found = [r for r in releases if f"{r.name}@{r.version}" == text or (len(text) >= 6 and r.digest.startswith(text))]  # noqa: PLR2004
    if len(found) == 1:
        return found[0]
    what = "no release" if not found else f"{len(found)} releases"
    raise UpdateError(
        f"{what} in the store can be meant by {text!r}",
        "Name one by its digest, or at least 6 digits of it: `edge-runtime bundle list` shows them.",
    )
