"""A ledger whose disk gives trouble, and what is left of one whose file was damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trouble import MS

from edge_runtime.domain.errors import LedgerDamagedError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from baton import World
    from trouble import Trouble


class TroubledLedger:
    """Stands before a real ledger. `full`, `failing`, `slow`, `no_memory`, `corrupt` (until it is begun anew)."""

    def __init__(
        self,
        inner: Any,
        world: World,
        trouble: Trouble,
        on_commit: Callable[[Sequence[Any], Sequence[int]], None] | None = None,
    ) -> None:
        self._inner = inner
        self._world = world
        self._trouble = trouble
        self._on_commit = on_commit

    def append(self, entries: Any) -> Any:
        """Commit; the disk takes its time before and after the commit."""
        kind = self._ask()
        half_ns = self._trouble.random.randrange(100, 2_000) * MS if kind == "slow" else MS // 2
        self._world.sleep(half_ns)
        sequences = self._inner.append(entries)
        if self._on_commit is not None:
            self._on_commit(entries, sequences)
        self._world.sleep(half_ns)
        return sequences

    def mark_sent(self, sequences: Any) -> None:
        """As the ledger; or refused."""
        self._ask()
        self._inner.mark_sent(sequences)

    def prune(self, *arguments: Any, **options: Any) -> Any:
        """As the ledger; or refused."""
        self._ask()
        return self._inner.prune(*arguments, **options)

    def begin_anew(self, damage: LedgerDamagedError, wall_ns: int) -> Any:
        """As the ledger."""
        event = self._inner.begin_anew(damage, wall_ns)
        self._trouble.end_all("corrupt")
        return event

    def unsent(self, after: int, limit: int) -> Any:
        """As the ledger; or unreadable."""
        self._is_whole()
        if self._trouble.now() == "failing":
            raise LedgerError("the disk does not answer", "look at it")
        return self._inner.unsent(after, limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _is_whole(self) -> None:
        if self._trouble.holds("corrupt"):
            raise LedgerDamagedError("the file is damaged: database disk image is malformed", "look at the disk")

    def _ask(self) -> str | None:
        self._is_whole()
        kind = self._trouble.now()
        if kind in {"full", "failing"}:
            self._world.sleep(MS)
            raise LedgerError(f"the disk is {kind}", "mend the disk")
        if kind == "no_memory":
            raise MemoryError
        return kind
