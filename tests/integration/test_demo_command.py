from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY

from edge_runtime.app.demo import demo_config
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 12


def _demo(python_path: Path, work: Path, *, path: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a newcomer does, somewhere else."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "edge_runtime", "demo", "--parts", str(PARTS), "--json"],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(python_path), "PATH": path, "TMPDIR": str(work)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def installed(tmp_path) -> Path:
    """What a wheel puts into site-packages: the package, and the demo's two files inside it."""
    site = tmp_path / "site"
    shutil.copytree(REPOSITORY / "edge_runtime", site / "edge_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    packaged = site / "edge_runtime" / "_demo"
    packaged.mkdir()
    shutil.copy(REPOSITORY / "configs" / "demo.toml", packaged)
    shutil.copy(DEMO_BUNDLE, packaged)
    return site


def test_an_installed_package_has_its_own_demo(installed, tmp_path) -> None:
    """From any folder, exit code 0, every part in the summary, and nothing written into the package."""
    before = {path for path in installed.rglob("*") if "__pycache__" not in path.parts}
    done = _demo(installed, tmp_path, path=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["parts"] == summary["gate_passed"] + summary["gate_rejected"] == PARTS
    assert {path for path in installed.rglob("*") if "__pycache__" not in path.parts} == before


def test_a_package_without_demo_says_what_to_do(tmp_path) -> None:
    """No traceback about a path that nobody knows."""
    with pytest.raises(ConfigError) as caught:
        demo_config(tmp_path / "none.toml", tmp_path / "neither.toml")
    assert "install" in caught.value.action
