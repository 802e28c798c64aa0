from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from station_parts import Bench, make_bench


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every test begins with a copy of this."""
    bench = make_bench(tmp_path_factory.mktemp("model"))
    bench.release()
    bench.provision()
    return bench.folder


@pytest.fixture
def bench(tmp_path: Path, model: Path) -> Bench:
    """A station with one release (counter 2) and a device, `trust-0`, that knows its root only."""
    return Bench(Path(shutil.copytree(model, tmp_path, dirs_exist_ok=True)))
