"""How the work is watched: stages with a known length, and notices."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


class Stage(Protocol):
    """A stage of known length."""

    def advance(self, steps: int = 1) -> None:
        """So many steps are done."""


class Observer(Protocol):
    """Who watches."""

    def stage(self, title: str, steps: int) -> contextlib.AbstractContextManager[Stage]:
        """Announce a stage; it ends with the context."""

    def notice(self, text: str) -> None:
        """Something a person should read now."""


class _SilentStage:
    def advance(self, steps: int = 1) -> None:
        """Nobody watches."""


class Silent:
    """Watches nothing; for programs that call the converter."""

    @contextlib.contextmanager
    def stage(self, title: str, steps: int) -> Iterator[Stage]:  # noqa: ARG002  (the port's signature)
        """See the port."""
        yield _SilentStage()

    def notice(self, text: str) -> None:
        """See the port."""


class _Bar:
    def __init__(self, progress: Progress, title: str, steps: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=steps)

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._task, steps)

    def finish(self) -> None:
        task = self._progress.tasks[self._progress.task_ids.index(self._task)]
        self._progress.update(self._task, completed=task.total)


class Terminal:
    """Bars with the time left, one per stage, and notices above them. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    @contextlib.contextmanager
    def stage(self, title: str, steps: int) -> Iterator[Stage]:
        """See the port."""
        bar = _Bar(self._progress, title, steps)
        yield bar
        bar.finish()

    def notice(self, text: str) -> None:
        """See the port."""
        self._console.print(f"• {text}", markup=False, highlight=False)
