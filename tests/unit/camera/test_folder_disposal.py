from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from edge_runtime.camera.folder.disposal import Disposal
from edge_runtime.camera.folder.health import FolderHealth
from edge_runtime.camera.port import CameraState
from edge_runtime.config.camera import AfterInspection
from edge_runtime.domain.frame import FileIdentity


class Bench:
    """A watched folder and what becomes of its files."""

    def __init__(self, tmp_path: Path, after: AfterInspection) -> None:
        self.root, self.done, self.faulty = (tmp_path / name for name in ("watched", "done", "faulty"))
        self.root.mkdir()
        self.health = FolderHealth("folder")
        self.disposal = Disposal(self.root, after, self.done, self.faulty, self.health)

    def put(self, path: str, content: bytes) -> FileIdentity:
        """A file in the watched folder."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        status = place.stat()
        return FileIdentity(path, status.st_size, status.st_mtime_ns, hashlib.sha256(content).hexdigest())

    def settle(self, file: FileIdentity, *, faulty: bool = False) -> None:
        """Its verdict is committed."""
        self.disposal.settle(file.path, file, faulty=faulty)


@pytest.fixture
def mover(tmp_path):
    """`after = "move"`."""
    return Bench(tmp_path, AfterInspection.MOVE)


def test_nothing_that_was_kept_aside_is_ever_overwritten(mover):
    """The same name again and again: every content survives under a name of its own."""
    contents = [b"one", b"two", b"two", b"two"]
    for content in contents:
        mover.settle(mover.put("latest.png", content))
    kept = sorted(path.read_bytes() for path in mover.done.iterdir())
    assert kept == sorted(contents)
    assert (mover.done / "latest.png").read_bytes() == b"one"
    assert list(mover.root.iterdir()) == []


def test_subfolders_are_kept_when_moving(mover):
    """What lay in a subfolder lies in the same one afterwards."""
    mover.settle(mover.put("line 1/a/x.png", b"x"))
    assert (mover.done / "line 1" / "a" / "x.png").read_bytes() == b"x"


def test_moving_to_another_file_system_copies_whole_files_only(mover, monkeypatch):
    """Where a rename cannot cross, the file is copied under a temporary name first, and removed last."""
    real_rename = Path.rename

    def refuse_to_cross(self, target):
        if self.parent == mover.root:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real_rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_to_cross)
    mover.settle(mover.put("x.png", b"content"))
    assert [path.name for path in mover.done.iterdir()] == ["x.png"]
    assert (mover.done / "x.png").read_bytes() == b"content"
    assert list(mover.root.iterdir()) == []


def test_a_full_disk_leaves_the_original_and_no_half_copy(tmp_path, monkeypatch):
    """When a copy fails the file stays where it is, nothing half lies at the target, and the status says so."""
    bench = Bench(tmp_path, AfterInspection.KEEP)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = bench.put("x.png", b"broken")
    with monkeypatch.context() as disk:
        disk.setattr("shutil.copy2", full)
        bench.settle(file, faulty=True)
    assert (bench.root / "x.png").read_bytes() == b"broken"
    assert list(bench.faulty.iterdir()) == []
    assert "No space left on device" in bench.health.status().detail
    assert bench.health.status().state is CameraState.CONNECTED
    bench.settle(file, faulty=True)
    assert (bench.faulty / "x.png").read_bytes() == b"broken"
    assert bench.health.status().detail == ""


@pytest.mark.parametrize("after", list(AfterInspection))
def test_failures_are_shown_and_never_raised(tmp_path, after):
    """A file that is gone, and a target that cannot be made, cost no verdict."""
    bench = Bench(tmp_path, after)
    bench.faulty.write_bytes(b"a file where a folder should be")
    bench.settle(bench.put("x.png", b"broken"), faulty=True)
    assert "x.png" in bench.health.status().detail
    assert (bench.root / "x.png").exists()
    bench.settle(FileIdentity("gone.png", 1, 1, "00"), faulty=True)
    assert "gone.png" in bench.health.status().detail


def test_content_that_nobody_inspected_stays(mover):
    """A file that was written again after its inspection is neither moved nor deleted."""
    file = mover.put("x.png", b"inspected")
    mover.put("x.png", b"written again since")
    mover.settle(file)
    mover.settle(file, faulty=True)
    assert (mover.root / "x.png").read_bytes() == b"written again since"
    assert not mover.done.exists()
