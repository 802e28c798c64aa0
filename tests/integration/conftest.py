"""Fixtures of the watched folder, for every test file that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from folder_bench import FolderBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[FolderBench]:
    """A watched folder and the cameras on it."""
    built = FolderBench(tmp_path)
    yield built
    built.close()


@pytest.fixture(params=[False, True], ids=["events", "polling"])
def polling(request: pytest.FixtureRequest) -> bool:
    """Both ways to learn of files."""
    return bool(request.param)
