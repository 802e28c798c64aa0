"""Verdicts, events and the outbox in one database, and the evidence images beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.config.line import LedgerSettings
    from edge_runtime.ledger.port import Encoder, Ledger


def create(settings: LedgerSettings, path: Path, device: str, encoder: Encoder) -> Ledger:
    """The ledger in the file `path` (its folder must exist).

    Args:
        settings: how much is kept; `prune` is the record stage's to call.
        path: the database; beside it lie `-wal`, `-shm`, `.lock`, `.floor` and `.reserve`.
        device: the device whose sequences these are.
        encoder: makes the published JSON.

    Raises:
        LedgerError: it cannot be used, and not because it is damaged: a damaged one is set aside (see `Opening`).
    """
    from edge_runtime.ledger.aside import open_or_begin_anew  # noqa: PLC0415  (adapters are imported when wanted)

    del settings  # what it says is for the record stage; the parameter keeps every factory alike
    return open_or_begin_anew(path, device, encoder)
