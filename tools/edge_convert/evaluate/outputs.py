"""The files of an evaluation: checked before the work, written whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge_convert.evaluate.dataset import DatasetError
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REPORT_NAME = "index.html"


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the report and the JSON go; None where it is not wanted."""

    report: Path | None
    """A folder; made if it is not there."""
    json: Path | None
    """A file; its folder is made if it is not there."""

    def prepare(self) -> None:
        """Make the folders, so that an hour's evaluation does not end at a path that cannot be written.

        Raises:
            DatasetError: a folder cannot be made or written to.
            ConfigError: the report's template engine is not installed.
        """
        if self.report is not None and find_spec("jinja2") is None:
            raise ConfigError(
                "--report needs jinja2, which is not installed",
                "Run `pip install 'edge-runtime[convert]'`, or leave --report out.",
            )
        for folder in (self.report, self.json.parent if self.json else None):
            if folder is not None:
                with _named(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    probe = folder / f".{os.getpid()}.probe"
                    probe.touch()
                    probe.unlink()

    def write(self, make_report: Callable[[], str], make_json: Callable[[], str]) -> None:
        """Write what is wanted; an earlier file stays until the new one is complete.

        Raises:
            DatasetError: a file cannot be written.
        """
        if self.json is not None:
            _replace(self.json, make_json())
        if self.report is not None:
            _replace(self.report / REPORT_NAME, make_report())

    def written(self) -> list[str]:
        """A line per file, for the terminal."""
        lines = [f"report: {self.report / REPORT_NAME}"] if self.report else []
        return lines + ([f"json:   {self.json}"] if self.json else [])


def _replace(path: Path, text: str) -> None:
    with _named(path):
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be written: {error.strerror}", "Name a folder that you may write to, with room on its disk."
        ) from error
