"""Fixtures that several tests of updates share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from update_rig import Device, make_plant, memory_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station and a device that runs 2.0; every test has a copy."""
    return make_plant(tmp_path_factory.mktemp("plant"))


@pytest.fixture
def here(plant: Path) -> Iterator[Path]:
    """The copy, in memory where that goes: what a sync costs on a busy disk is not the subject."""
    with memory_folder() as folder:
        yield Path(shutil.copytree(plant, folder / "plant"))


@pytest.fixture
def device(here: Path) -> Iterator[Device]:
    """The device that runs 2.0; whatever a test did, it must have left the store tidy."""
    device = Device(here / "device")
    yield device
    assert device.rubbish() == []
    device.close()
