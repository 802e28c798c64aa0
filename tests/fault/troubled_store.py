"""A store of releases on a disk that gives trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.domain.errors import UpdateError

if TYPE_CHECKING:
    from trouble import Trouble

WRITING = frozenset({"begin_trial", "pause_trial", "confirm", "roll_back", "note"})
READING = frozenset({"standing", "generation", "sound_known_good"})


class TroubledStore:
    """Stands before a real store; what ails the ledger's disk ails it too. `full`, `failing`."""

    def __init__(self, inner: Any, trouble: Trouble) -> None:
        self._inner = inner
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in WRITING and self._trouble.lasting in {"full", "failing"}:
            return _refuse
        if name in READING and self._trouble.lasting == "failing":
            return _refuse
        return found


def _refuse(*_: Any, **__: Any) -> Any:
    raise UpdateError("the store cannot be used: the disk gives trouble", "mend the disk")
