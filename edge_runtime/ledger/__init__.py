"""Verdicts, events and the outbox in one database, and the evidence images beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.config.line import LedgerSettings
    from edge_runtime.ledger.port import Encoder, Ledger


def create(settings: LedgerSettings, path: Path, device: str, encoder: Encoder) -> Ledger:
    """The ledger in the file `path` (its folder must exist); in the place of a damaged one a new one, which says so.

    Args:
        settings: how much room is reserved; what is kept is the record stage's to prune.
        path: the database; beside it lie `-wal`, `-shm`, `.lock`, `.floor` and `.reserve`.
        device: the device whose sequences these are.
        encoder: makes the published JSON.

    Raises:
        LedgerError: it cannot be used for another reason than damage, or a damaged one cannot be set aside.
    """
    from edge_runtime.domain.errors import LedgerDamagedError  # noqa: PLC0415  (adapters are imported when wanted)
    from edge_runtime.ledger.aside import set_aside  # noqa: PLC0415
    from edge_runtime.ledger.database import SqliteLedger  # noqa: PLC0415
    from edge_runtime.ledger.salvage import salvage  # noqa: PLC0415

    reserve_bytes = settings.reserve_mb * 1_000_000
    try:
        return SqliteLedger(path, device, encoder, reserve_bytes)
    except LedgerDamagedError as error:
        kept = set_aside(path)
        ledger = SqliteLedger(path, device, encoder, reserve_bytes, salvage(kept, 2**62))
        ledger.opening = replace(ledger.opening, set_aside=kept.name, damage=error.what)
        return ledger
