"""The store without its database: the last-known-good releases run on by their receipts, and nothing is changed."""

# ruff: noqa: ARG002  (a store that refuses takes what the port takes)

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from edge_runtime.bundles.store import find_among
from edge_runtime.domain.errors import BundleError, UpdateError
from edge_runtime.domain.update import HistoryEntry, ProductStanding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.bundles.store_files import StoreFiles
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock


class ReceiptStore:
    """An `UpdateStore` that only reads. Trust is not known without the database, and never begun anew by itself."""

    def __init__(self, files: StoreFiles, clock: Clock, check: Callable[[Path, str], None], flaw: str) -> None:
        """Look at what is there; nothing is written.

        Args:
            files: where everything lies.
            clock: when that was found.
            check: raises BundleError unless the file at this path is, byte for byte, the release of this digest.
            flaw: why the database cannot be relied on.
        """
        self.files = files
        self.flaw = flaw
        self._check = check
        self._found_ns = clock.wall_ns()
        self._releases = sorted(files.receipts(), key=lambda release: (release.terms.product, -release.confirmed))

    def products(self) -> Sequence[str]:
        """See `UpdateStore`."""
        return sorted({release.terms.product for release in self._releases})

    def releases(self, product: str | None = None) -> Sequence[StoredRelease]:
        """See `UpdateStore`."""
        return [release for release in self._releases if product in {None, release.terms.product}]

    def find(self, text: str) -> StoredRelease:
        """See `UpdateStore`."""
        return find_among(self._releases, text)

    def standing(self, product: str) -> ProductStanding:
        """See `UpdateStore`."""
        known = self.releases(product)
        floor = max((release.terms.min_counter for release in known), default=0)
        good = next((release for release in known if release.terms.counter >= floor), None)
        return ProductStanding(None, None, good, floor)

    def generation(self) -> int:
        """See `UpdateStore`."""
        return 0

    def path(self, digest: str) -> Path:
        """See `UpdateStore`."""
        return self.files.bundle(digest)

    def resolve_start(self, product: str) -> StoredRelease:
        """See `UpdateStore`."""
        good = self.sound_known_good(product)
        if good is None:
            raise UpdateError(
                f"{self._lost()}, and no release of product {product} with a receipt is intact", _PROVISION_ANEW
            )
        return good

    def sound_known_good(self, product: str) -> StoredRelease | None:
        """See `UpdateStore`."""
        while (good := self.standing(product).known_good) is not None:
            try:
                self._check(self.path(good.digest), good.digest)
            except BundleError:
                self._releases.remove(good)
            else:
                return good
        return None

    def begin_trial(self, digest: str) -> NoReturn:
        """See `UpdateStore`."""
        self._refuse()

    def pause_trial(self, digest: str) -> None:
        """Nothing is in trial."""

    def confirm(self, digest: str) -> NoReturn:
        """See `UpdateStore`."""
        self._refuse()

    def roll_back(self, digest: str, why: str) -> NoReturn:
        """See `UpdateStore`."""
        self._refuse()

    def request_activation(self, digest: str, who: str, why: str, *, again: bool = False) -> NoReturn:
        """See `UpdateStore`."""
        self._refuse()

    def request_rollback(self, product: str, who: str, why: str) -> NoReturn:
        """See `UpdateStore`."""
        self._refuse()

    def pin(self, digest: str, who: str, why: str, *, on: bool) -> NoReturn:
        """See `UpdateStore`."""
        self._refuse()

    def candidates(self, product: str) -> Sequence[StoredRelease]:
        """See `UpdateStore`."""
        return ()

    def note(self, kind: str, text: str, digest: str = "") -> None:
        """There is nothing to write it into."""

    def history(self, limit: int = 100) -> Sequence[HistoryEntry]:
        """See `UpdateStore`."""
        return [HistoryEntry(self._found_ns, "lost", "", self._lost())][:limit]

    def close(self) -> None:
        """See `UpdateStore`."""

    def refusal(self) -> UpdateError:
        """Why nothing can be changed."""
        return UpdateError(f"{self._lost()}: updates are refused", _PROVISION_ANEW)

    def _refuse(self) -> NoReturn:
        raise self.refusal()

    def _lost(self) -> str:
        return f"the database of releases {self.files.database} is lost ({self.flaw})"


_PROVISION_ANEW = (
    "The line runs on with the last-known-good release. When it stands, move the folder `updates` in device.state_dir "
    "away, give this device its root key again with `edge-runtime bundle trust`, and install the newest release."
)
