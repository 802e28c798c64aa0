"""What is wrong with a configuration file, place by place, in a technician's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One thing that is wrong, or in a warning: that deserves a second look."""

    line: int
    """Line in the file, first is 1; 0 where the file as a whole is meant."""
    key: str
    """Dotted key; empty where the file as a whole is meant."""
    message: str
    """What is wrong and, where we know it, what would be right. Never quotes the value of an unknown key: it may be
    a password in the wrong place."""

    def text(self, file: Path) -> str:
        """`file:line: key: message`, as editors understand it."""
        where = f"{file}:{self.line}" if self.line else str(file)
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class InvalidConfigError(ConfigError):
    """Everything that is wrong with a configuration file, at once.

    Args:
        file: the file as the user named it.
        problems: at least one.
    """

    def __init__(self, file: Path, problems: Iterable[ConfigProblem]) -> None:
        self.file = file
        self.problems: Sequence[ConfigProblem] = tuple(sorted(set(problems)))
        places = "this place" if len(self.problems) == 1 else f"these {len(self.problems)} places"
        advice = f"Correct {places}, then run `edge-runtime check {file}`."
        if not file.exists():
            advice = "Check the path, or begin with a copy of one of the configurations in configs/."
        super().__init__("\n".join(problem.text(file) for problem in self.problems), advice)
