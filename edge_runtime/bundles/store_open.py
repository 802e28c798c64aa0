"""Opens the store of releases, whatever is found of it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from edge_runtime.bundles import store_schema as schema
from edge_runtime.bundles.archive import open_release
from edge_runtime.bundles.store import ReleaseStore
from edge_runtime.bundles.store_files import StoreFiles
from edge_runtime.bundles.store_receipts import ReceiptStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.ops.clock import Clock

KEPT_VERSIONS = 5


def check_release(path: Path, digest: str) -> None:
    """Make sure that a file in the store is, byte for byte, the release of this digest.

    Raises:
        BundleError: it is not.
    """
    with open_release(path, digest=digest):
        pass


def open_store(
    folder: Path,
    clock: Clock,
    keep_versions: int = KEPT_VERSIONS,
    check: Callable[[Path, str], None] = check_release,
) -> ReleaseStore | ReceiptStore:
    """The store in `folder`, made if there is none.

    A database that is damaged, or missing beside releases or trust, is never begun anew: the store then only reads.

    Args:
        folder: `updates` in the device's state_dir, which exists.
        clock: for the history.
        keep_versions: per product.
        check: as `check_release` does.

    Raises:
        UpdateError: the folder cannot be used, or is from a newer version of this software.
    """
    files = StoreFiles(folder)
    with schema.told(folder, "open"):
        if not files.database.exists():
            if files.holds_anything():
                return ReceiptStore(files, clock, check, "it is not there")
            files.make_folder(folder)
            schema.create(files.database)
        files.make()
        with contextlib.ExitStack() as undo:
            try:
                store = ReleaseStore(files, clock, check, keep_versions)
                undo.callback(store.close)
                flaw = store.flaw()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                flaw = str(error)
            if flaw is None:
                undo.pop_all()
                return store
        return ReceiptStore(files, clock, check, flaw)


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    missing = str(error).startswith(("no such table", "no such column", "a release in it makes no sense"))
    return missing or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
