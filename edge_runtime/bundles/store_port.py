"""The store of releases as the line, the rollout and the technician's commands see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime.domain.update import HistoryEntry, ProductStanding, StoredRelease


class UpdateStore(Protocol):
    """What this device knows of its releases. Every change is one durable commit; several processes may have it open.

    Per product at most one release is armed or in trial; at most one is the last-known-good one. Thread-safe.

    Every method raises UpdateError where the database cannot be read or written. Where it was lost, the store answers
    from the receipts of the last-known-good releases, and every method that changes something raises UpdateError.
    """

    def products(self) -> Sequence[str]:
        """Every product with a release, sorted."""

    def releases(self, product: str | None = None) -> Sequence[StoredRelease]:
        """Of one product or of all, newest counter first; those whose files are gone (quarantined) included."""

    def find(self, text: str) -> StoredRelease:
        """The release that a technician means: its digest, the beginning of it (6 digits or more), or `name@version`.

        Raises:
            UpdateError: none or several.
        """

    def standing(self, product: str) -> ProductStanding:
        """Which release is armed, which is in trial, which is last-known-good: one consistent look. Cheap."""

    def generation(self) -> int:
        """Grows with every commit of any process: has anything changed since I looked? Cheap enough for every tick."""

    def path(self, digest: str) -> Path:
        """The bundle's file, for `open_release(path, digest=digest)`; need not be there."""

    def resolve_start(self, product: str) -> StoredRelease:
        """What the line has to load when it starts, its file found intact.

        Sweeps what an interrupted installation has left; re-hashes the armed or trial release and the last-known-good
        one; rolls back what is damaged, or was loaded `update_rules.MAX_ATTEMPTS` times and not confirmed. Where the
        answer stands ARMED or TRIAL, `begin_trial` comes before the load; after a failed load: `roll_back`, ask again.

        Raises:
            UpdateError: there is no release of this product that may run; says what to do.
        """

    def sound_known_good(self, product: str) -> StoredRelease | None:
        """The last-known-good release, its file hashed once more; None: there is none.

        One whose file is damaged is quarantined, and makes way for the one that was confirmed before it.

        Raises:
            UpdateError: the store cannot be read.
        """

    def begin_trial(self, digest: str) -> StoredRelease:
        """ARMED or TRIAL → TRIAL with one attempt more, committed *before* it is loaded.

        Raises:
            UpdateError: it is neither, or its attempts are used up (`roll_back` it).
        """

    def pause_trial(self, digest: str) -> None:
        """TRIAL → ARMED and the attempt given back: the line is being stopped on purpose. Else nothing happens."""

    def confirm(self, digest: str) -> StoredRelease:
        """TRIAL → CONFIRMED: it is the last-known-good one; versions beyond those to keep are removed.

        Raises:
            UpdateError: it is not in trial any more.
        """

    def roll_back(self, digest: str, why: str) -> StoredRelease | None:
        """STAGED, ARMED or TRIAL → ROLLED_BACK, quarantined; idempotent.

        Returns:
            What runs instead: the last-known-good release. None where there is none, or none that may still run
            (a signed release has raised `min_counter` above it).
        """

    def request_activation(self, digest: str, who: str, why: str, *, again: bool = False) -> StoredRelease:
        """Any stored release → ARMED, with its attempts at 0. The line takes it up as it does a new one.

        Args:
            again: also where it is quarantined.

        Raises:
            UpdateError: its file is gone, it is quarantined, its counter is below the product's `min_counter`, or
                another release of the product is pinned.
        """

    def request_rollback(self, product: str, who: str, why: str) -> StoredRelease:
        """Back to what ran before.

        Where a release is armed or in trial, it becomes ROLLED_BACK and the last-known-good one is the answer; else the
        confirmed release with the next lower counter becomes ARMED and is the answer. Respects `min_counter`.

        Raises:
            UpdateError: there is nothing to go back to.
        """

    def pin(self, digest: str, who: str, why: str, *, on: bool) -> StoredRelease:
        """While a release is pinned it is never removed, and no other one of its product is armed, but to roll back."""

    def candidates(self, product: str) -> Sequence[StoredRelease]:
        """Releases that wait (STAGED) and are newer than the active one, newest first: for shadow and canary."""

    def note(self, kind: str, text: str, digest: str = "") -> None:
        """Write into the history; `kind` is one word."""

    def history(self, limit: int = 100) -> Sequence[HistoryEntry]:
        """What happened, newest first."""

    def close(self) -> None:
        """Idempotent."""
