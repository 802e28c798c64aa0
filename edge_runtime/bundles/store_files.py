"""The store's folder: where a release, a receipt and the trusted metadata lie, and what a power cut may leave there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.store_schema import give_to_owner
from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import ReleaseTerms, StoredRelease, UpdateState
from edge_runtime.ops.durable import put_in_place, sync_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

BUNDLE: Final = "bundle"
RECEIPT: Final = "receipt.json"
_RECEIPT_LIMIT_BYTES: Final = 64 * 1024
_HEXADECIMAL: Final = frozenset("0123456789abcdef")
_DIGEST_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Paths of a store, and the changes to them that must survive a power cut."""

    root: Path

    @property
    def database(self) -> Path:
        """The one commit point."""
        return self.root / "updates.sqlite"

    @property
    def staging(self) -> Path:
        """What is being copied; never outlives a start."""
        return self.root / "staging"

    def bundle(self, digest: str) -> Path:
        """A release's file."""
        return self.root / "store" / digest / BUNDLE

    def trust(self, generation: int) -> Path:
        """The trusted metadata, one folder for each time that they changed."""
        return self.root / "trust" / str(generation)

    def make(self) -> None:
        """Make what is missing.

        Raises:
            OSError: it cannot be made.
        """
        for folder in (self.root, self.staging, self.root / "store", self.root / "trust"):
            self.make_folder(folder)

    def make_folder(self, folder: Path) -> None:
        """A folder that is there after a power cut.

        Raises:
            OSError: it cannot be made.
        """
        if not folder.is_dir():
            folder.mkdir(mode=0o755)
            give_to_owner(folder)
            sync_folder(folder.parent)

    def holds_anything(self) -> bool:
        """True if a database must have been here: a release or a generation of trust lies in the folder."""
        return any(any(folder.iterdir()) for folder in (self.root / "store", self.root / "trust") if folder.is_dir())

    def sweep(self, digests: Collection[str], generation: int) -> list[str]:
        """Remove what belongs to no committed release and no committed trust; the names of what went. Idempotent.

        Only for who holds the `lock`: what another process is copying looks like rubbish.

        Raises:
            OSError: it cannot be removed.
        """
        gone = []
        for folder, kept in (
            (self.staging, frozenset[str]()),
            (self.root / "store", frozenset(digests)),
            (self.root / "trust", frozenset({str(generation)})),
        ):
            for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
                if entry.name not in kept:
                    _remove(entry)
                    gone.append(f"{folder.name}/{entry.name}")
        return gone

    def remove(self, digest: str) -> None:
        """Remove a release that the database does not know any more. Idempotent.

        Raises:
            OSError: it cannot be removed.
        """
        _remove(self.bundle(digest).parent)

    def write_receipt(self, release: StoredRelease, number: int, min_counter: int) -> None:
        """Leave beside a release what it takes to run it, should the database be lost.

        Args:
            release: about to be confirmed.
            number: of this confirmation.
            min_counter: in force for its product.

        Raises:
            OSError: it cannot be written.
        """
        terms = release.terms
        receipt = {
            "confirmed": number,
            "product": terms.product,
            "counter": terms.counter,
            "min_counter": min_counter,
            "hardware": list(terms.hardware),
            "name": release.name,
            "version": release.version,
            "revision": release.revision,
            "installed_ns": release.installed_ns,
        }
        folder = self.bundle(release.digest).parent
        put_in_place(folder / RECEIPT, json.dumps(receipt).encode(), folder / f"{RECEIPT}.new")

    def receipts(self) -> Iterator[StoredRelease]:
        """What the receipts say was confirmed here; damaged ones are passed over."""
        folder = self.root / "store"
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if len(entry.name) == _DIGEST_DIGITS and set(entry.name) <= _HEXADECIMAL:
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    yield _read_receipt(entry)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """The claim on everything but the database; held while something is installed or swept.

        Raises:
            UpdateError: another process or thread holds it.
            OSError: the folder cannot be written.
        """
        path = self.root / "install.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            give_to_owner(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UpdateBusyError(
                    "another installation is running on this device",
                    "Wait until it has ended, then try again; `edge-runtime bundle list` shows what came of it.",
                ) from error
            yield
        finally:
            os.close(descriptor)


class UpdateBusyError(UpdateError):
    """Another installation is running: this one was not begun."""


def _read_receipt(folder: Path) -> StoredRelease:
    with (folder / RECEIPT).open("rb") as file:
        found = json.loads(file.read(_RECEIPT_LIMIT_BYTES))
    terms = ReleaseTerms(
        product=str(found["product"]),
        counter=int(found["counter"]),
        min_counter=int(found["min_counter"]),
        hardware=tuple(map(str, found["hardware"])),
    )
    return StoredRelease(
        digest=folder.name,
        terms=terms,
        name=str(found["name"]),
        version=str(found["version"]),
        revision=int(found["revision"]),
        state=UpdateState.CONFIRMED,
        attempts=0,
        installed_ns=int(found["installed_ns"]),
        reason="from its receipt: the database is lost",
        confirmed=int(found["confirmed"]),
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
