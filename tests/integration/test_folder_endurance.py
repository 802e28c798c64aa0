from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from camera_rigs import BOUND_S, SeenSet, png, wait_until
from folder_bench import QUIET_S, is_quiet, paths_of
from watchdog.observers.inotify_c import InotifyFD

from edge_runtime.camera import create
from edge_runtime.camera.folder.reader import STALL_NS
from edge_runtime.camera.folder.scanner import FolderScanner
from edge_runtime.camera.folder.watcher import InotifyWatcher, Notices
from edge_runtime.camera.port import CameraState
from edge_runtime.config.camera import FolderCameraSettings
from edge_runtime.domain.errors import CameraError, LedgerError
from edge_runtime.ops.clock import SimulatedClock, SystemClock

if TYPE_CHECKING:
    from edge_runtime.domain.frame import FileIdentity


def test_the_folder_vanishes_and_comes_back(bench, polling):
    """A vanished folder is LOST; when it is back everything new is found, and nothing is delivered twice."""
    folder = bench.folder
    camera = bench.open(polling=polling)
    (folder / "before.png").write_bytes(png(1))
    assert paths_of(camera, 1) == ["before.png"]
    aside = folder.with_name("aside")
    folder.rename(aside)
    wait_until(lambda: camera.status().state is CameraState.LOST, "the loss is noticed")
    assert str(folder) in camera.status().detail
    (aside / "meanwhile.png").write_bytes(png(2))
    aside.rename(folder)
    assert paths_of(camera, 1) == ["meanwhile.png"]
    wait_until(lambda: camera.status().state is CameraState.CONNECTED, "the return is noticed")
    assert camera.status().reopened == 1
    (folder / "after.png").write_bytes(png(3))
    assert paths_of(camera, 1) == ["after.png"]
    assert is_quiet(camera)


def test_a_folder_made_anew_is_watched_again(bench):
    """Events come from the new folder as they came from the old one, not only from the rare rescan."""
    camera = bench.open(rescan_interval_ms=600_000)
    (bench.folder / "before.png").write_bytes(png(1))
    assert paths_of(camera, 1) == ["before.png"]
    shutil.rmtree(bench.folder)
    wait_until(lambda: camera.status().state is CameraState.LOST, "the loss is noticed")
    bench.folder.mkdir()
    wait_until(lambda: camera.status().state is CameraState.CONNECTED, "the return is noticed")
    (bench.folder / "after.png").write_bytes(png(2))
    assert paths_of(camera, 1) == ["after.png"]


def test_a_large_backlog_comes_in_order(bench):
    """However long the first scan takes, the oldest file of all is the first part."""
    count = 1_300
    for number in range(count):
        path = bench.folder / f"{number:04d}.png"
        path.write_bytes(png(number % 7))
        os.utime(path, ns=(count - number, count - number))
    camera = bench.open(poll_interval_ms=10)
    assert paths_of(camera, 60) == [f"{number:04d}.png" for number in range(count - 1, count - 61, -1)]


def test_a_folder_that_cannot_work_is_an_error_with_an_action(tmp_path):
    """A missing folder, a file in its place, bad patterns and impossible targets are refused at the start."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "fine").mkdir()
    wrong = [
        {"path": tmp_path / "missing"},
        {"path": tmp_path / "file"},
        {"path": tmp_path / "fine", "part_sequence_pattern": "("},
        {"path": tmp_path / "fine", "part_sequence_pattern": "no group"},
        {"path": tmp_path / "fine", "after": "move", "done_path": tmp_path / "fine"},
        {"path": tmp_path / "fine", "after": "move", "done_path": tmp_path / "file" / "below"},
    ]
    for settings in wrong:
        with pytest.raises(CameraError) as caught:
            create(FolderCameraSettings(kind="folder", **settings), SystemClock(), SeenSet(), None).open()
        assert caught.value.what
        assert caught.value.action


def test_the_reader_reads_only_a_few_frames_ahead(bench):
    """However many files wait, only a few decoded frames are in memory until somebody takes them."""
    folder = bench.folder
    for number in range(30):
        (folder / f"{number:02d}.png").write_bytes(png(number))
    seen = _CountingSeen()
    camera = bench.open(seen)
    wait_until(lambda: seen.asked >= 3, "reading ahead")
    assert not threading.Event().wait(QUIET_S)
    assert seen.asked == 3  # two wait for delivery, one for its place among them
    assert len(paths_of(camera, 30)) == 30


def test_thousands_of_files_arrive_once_each(bench):
    """A burst of renames from several writers comes through complete, without a file lost or doubled."""
    folder = bench.folder
    camera = bench.open()
    data = [png(shade) for shade in range(8)]

    def write(writer: int) -> None:
        for number in range(500):
            temporary = folder / f".{writer}-{number}"
            temporary.write_bytes(data[writer])
            temporary.rename(folder / f"{writer}-{number:04d}.png")

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    paths = paths_of(camera, 2000)
    for thread in writers:
        thread.join(BOUND_S)
    assert len(set(paths)) == 2000
    assert is_quiet(camera)


class _CountingSeen(SeenSet):
    """Counts the files that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def is_seen(self, file: object) -> bool:
        """See `SeenFiles`."""
        self.asked += 1
        return False


def test_without_file_events_the_folder_is_polled(bench, monkeypatch):
    """Where the kernel has no inotify instance left, files still come, and the status says what to raise."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(InotifyFD, "_create_inotify_fd", refuse)
    camera = bench.open()
    (bench.folder / "part.png").write_bytes(png(1))
    assert paths_of(camera, 1) == ["part.png"]
    status = camera.status()
    assert status.state is CameraState.CONNECTED
    assert "fs.inotify.max_user_instances" in status.detail


def test_an_unmounted_share_is_not_an_empty_folder(bench, monkeypatch):
    """An unmounted share leaves an empty folder behind that looks healthy: it is LOST all the same."""
    camera = bench.open(polling=True)
    (bench.folder / "part.png").write_bytes(png(1))
    assert paths_of(camera, 1) == ["part.png"]
    with monkeypatch.context() as unmounted:
        unmounted.setattr(Path, "is_mount", lambda _: False)
        wait_until(lambda: camera.status().state is CameraState.LOST, "the unmounting is noticed")
        assert "not mounted" in camera.status().detail
    wait_until(lambda: camera.status().state is CameraState.CONNECTED, "the mount is back")
    assert is_quiet(camera)


def test_an_unreadable_file_is_reported_and_tried_again(bench, monkeypatch):
    """A file without permission has no digest and so no verdict yet: it is named in the status until it can be read."""
    real_open = os.open

    def refuse(path: object, *arguments: object) -> int:
        if str(path).endswith("locked.png"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, *arguments)

    with monkeypatch.context() as locked:
        locked.setattr(os, "open", refuse)
        camera = bench.open()
        (bench.folder / "locked.png").write_bytes(png(1))
        wait_until(lambda: "locked.png" in camera.status().detail, "the trouble is shown")
        (bench.folder / "open.png").write_bytes(png(2))
        assert paths_of(camera, 1) == ["open.png"]
    assert paths_of(camera, 1) == ["locked.png"]
    assert camera.status().detail == ""


def test_a_ledger_that_cannot_answer_stops_the_source_but_loses_nothing(bench):
    """Without knowing what was inspected nothing may be inspected; once the ledger answers, everything comes."""

    class BrokenLedger(SeenSet):
        broken = True

        def is_seen(self, file: FileIdentity) -> bool:
            if self.broken:
                raise LedgerError("the ledger is locked", "wait")
            return super().is_seen(file)

    ledger = BrokenLedger()
    (bench.folder / "part.png").write_bytes(png(1))
    camera = bench.open(ledger)
    wait_until(lambda: camera.status().state is CameraState.LOST, "the trouble is shown")
    assert "the ledger is locked" in camera.status().detail
    ledger.broken = False
    assert paths_of(camera, 1) == ["part.png"]
    assert camera.status().state is CameraState.CONNECTED


def test_a_share_that_does_not_answer_is_lost(bench):
    """A reader that hangs in the file system shows no error: its silence is what the status reports."""
    clock = SimulatedClock()
    hangs, released = threading.Event(), threading.Event()

    class HangingLedger(SeenSet):
        def is_seen(self, file: FileIdentity) -> bool:
            hangs.set()
            released.wait(BOUND_S)
            return super().is_seen(file)

    camera = bench.open(HangingLedger(), clock)
    (bench.folder / "part.png").write_bytes(png(1))
    assert hangs.wait(BOUND_S)
    assert camera.status().state is CameraState.CONNECTED
    clock.advance(STALL_NS + 1)
    assert "does not answer" in camera.status().detail
    assert camera.status().state is CameraState.LOST
    released.set()
    assert paths_of(camera, 1) == ["part.png"]
    wait_until(lambda: camera.status().state is CameraState.CONNECTED, "the reader is back")


def test_a_kernel_queue_overflow_asks_for_a_scan(tmp_path):
    """When events come faster than they are read the kernel drops them and says so: everything is looked at again."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    notices = Notices(threading.Event())
    blocked, released = threading.Event(), threading.Event()

    class SlowScanner(FolderScanner):
        def matches(self, name: str) -> bool:
            blocked.set()
            released.wait(BOUND_S)
            return super().matches(name)

    watcher = InotifyWatcher(SlowScanner(tmp_path, recursive=False, patterns=("*.png",), excluded=()), notices)
    try:
        names = [tmp_path / "ping.png", tmp_path / "pong.png"]
        names[0].write_bytes(b"1")
        assert blocked.wait(BOUND_S)
        for number in range(limit // 2 + 100):  # each makes two events: moved from, moved to
            names[number % 2].rename(names[1 - number % 2])
        released.set()
        batches = []

        def overflowed() -> bool:
            batches.append(notices.collect())
            return batches[-1].overflows > 0

        wait_until(overflowed, "the overflow is reported")
        assert batches[-1].rescan
    finally:
        released.set()
        watcher.close()
