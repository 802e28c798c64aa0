"""Fixtures of several test files: the watched folder, and systemd's own checker."""

from __future__ import annotations

import os
import shutil
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


@pytest.fixture(scope="module")
def analyze() -> str:
    """The systemd-analyze program; its absence is a failure in CI and a skip elsewhere."""
    program = shutil.which("systemd-analyze")
    if program is None:
        reason = "systemd-analyze is not installed (apt install systemd)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return str(program)
