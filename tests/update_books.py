"""A store of releases without signatures, whose files are whole if they say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundles.store_open import open_store
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.update import ReleaseTerms, StoredRelease, UpdateState
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
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
