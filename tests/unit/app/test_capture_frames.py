from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from edge_runtime.app.capture import CaptureError, CapturePlan, CaptureTally, capture
from edge_runtime.app.source import Source, open_source, parse_source, refuse_feedback
from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.config.camera import FolderCameraSettings, OpenCvCameraSettings, SimulatedCameraSettings
from edge_runtime.domain.errors import CameraError, ConfigError
from edge_runtime.domain.frame import Frame, LostFrame, Trigger
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.clock import SimulatedClock, SystemClock
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime.camera.port import Arrival

STEP_NS = 100_000_000


class ScriptedCamera:
    """Delivers what a test wrote down, one arrival every 100 ms of simulated time; then it is quiet."""

    name = "scripted"

    def __init__(self, clock: SimulatedClock, arrivals: Sequence[Arrival], then: CameraState) -> None:
        self._clock = clock
        self._arrivals = list(arrivals)
        self._then = then

    def open(self) -> None:
        """Nothing to do."""

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """See `Camera`; an idle wait takes ten seconds of simulated time."""
        self._clock.advance(STEP_NS if self._arrivals else 10_000_000_000)
        return self._arrivals.pop(0) if self._arrivals else None

    def settle(self, arrival: Arrival) -> None:
        """Capturing settles nothing."""
        raise AssertionError

    def status(self) -> CameraStatus:
        """See `Camera`."""
        return CameraStatus(CameraState.CONNECTED if self._arrivals else self._then, "unplugged", 0, 0)

    def close(self) -> None:
        """Nothing to do."""


class Bench(NamedTuple):
    """A camera that delivers `frames`, and a folder for them."""

    clock: SimulatedClock
    camera: ScriptedCamera
    frames: list[Arrival]


def make_frame(number: int, exposures: int = 1, dtype: type = np.uint8) -> Frame:
    """Frame `number`, noisy enough that PNG cannot shrink it."""
    noise = np.random.default_rng(number)
    trigger = Trigger(number, f"part-{number}", number * STEP_NS, 1_700_000_000_000_000_000 + number * STEP_NS)
    images = tuple(noise.integers(0, np.iinfo(dtype).max, (40, 50, 3), dtype) for _ in range(exposures))
    return Frame(trigger, images, captured_ns=number * STEP_NS)


def make_bench(arrivals: Sequence[Arrival], then: CameraState = CameraState.EXHAUSTED) -> Bench:
    """A bench whose clock starts at zero, so that frame n is captured at n · 100 ms."""
    clock = SimulatedClock(start_monotonic_ns=0)
    return Bench(clock, ScriptedCamera(clock, arrivals, then), list(arrivals))


def run(bench: Bench, folder: Path, count: int | None = None, interval_ns: int = 0, limit: int = 10**9) -> CaptureTally:
    """Capture until the end."""
    plan = CapturePlan(folder, count, interval_ns, limit)
    return capture(bench.camera, plan, bench.clock, threading.Event(), lambda _tally: None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_are_saved_losslessly_and_in_order(tmp_path: Path, dtype: type) -> None:
    """Names sort by time; every pixel comes back, 8 and 16 bits deep; no half file stays behind."""
    bench = make_bench([make_frame(number, dtype=dtype) for number in (1, 2, 3)])
    tally = run(bench, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "20231114T221320100Z-000001.png",
        "20231114T221320200Z-000002.png",
        "20231114T221320300Z-000003.png",
    ]
    for file, frame in zip(files, bench.frames, strict=True):
        assert isinstance(frame, Frame)
        assert np.array_equal(decode_image(file.read_bytes()).array, frame.exposures[0])
    assert (tally.frames, tally.files, tally.ended) == (3, 3, "exhausted")
    assert tally.bytes == sum(file.stat().st_size for file in files)


def test_each_exposure_of_a_part_has_its_own_file(tmp_path: Path) -> None:
    """Numbered in the order of the illuminations."""
    run(make_bench([make_frame(1, exposures=2)]), tmp_path)
    assert [file.name[-7:] for file in sorted(tmp_path.iterdir())] == ["-e1.png", "-e2.png"]


def test_it_stops_at_the_count(tmp_path: Path) -> None:
    """And takes no frame more from the camera."""
    bench = make_bench([make_frame(number) for number in range(1, 9)])
    assert run(bench, tmp_path, count=3).ended == "count"
    assert len(list(tmp_path.iterdir())) == 3


def test_frames_that_come_too_fast_are_left_out(tmp_path: Path) -> None:
    """`--interval-ms` spreads the pictures over time: every 100 ms a frame, one saved every 250 ms."""
    tally = run(make_bench([make_frame(number) for number in range(1, 10)]), tmp_path, interval_ns=250_000_000)
    assert [int(file.stem[-6:]) for file in sorted(tmp_path.iterdir())] == [1, 4, 7]
    assert tally.frames == 3


def test_the_limit_is_never_exceeded(tmp_path: Path) -> None:
    """It stops before the frame that would."""
    tally = run(make_bench([make_frame(number) for number in range(1, 9)]), tmp_path, limit=20_000)
    assert tally.ended == "limit"
    assert 0 < sum(file.stat().st_size for file in tmp_path.iterdir()) <= 20_000


def test_a_trigger_without_image_is_counted_and_skipped(tmp_path: Path) -> None:
    """A corrupt image teaches nothing."""
    lost = LostFrame(make_frame(1).trigger, Reason.IMAGE_CORRUPT, "cut off")
    tally = run(make_bench([lost, make_frame(2)]), tmp_path)
    assert (tally.lost, tally.frames) == (1, 1)


def test_a_lost_camera_ends_it_with_advice(tmp_path: Path) -> None:
    """Half a minute of nothing from a camera that is gone; a quiet line, in contrast, is waited for."""
    with pytest.raises(CameraError, match="delivers nothing: unplugged") as caught:
        run(make_bench([make_frame(1)], then=CameraState.LOST), tmp_path)
    assert "daemon" in caught.value.action
    assert len(list(tmp_path.iterdir())) == 1


def test_a_stop_ends_it_between_two_frames(tmp_path: Path) -> None:
    """Ctrl-C: what is saved is whole, the summary still comes."""
    stop = threading.Event()
    bench = make_bench([make_frame(number) for number in range(1, 9)])
    plan = CapturePlan(tmp_path, None, 0, 10**9)
    tally = capture(bench.camera, plan, bench.clock, stop, lambda tally: stop.set() if tally.frames == 2 else None)
    assert (tally.frames, tally.ended) == (2, "stopped")


def test_an_existing_picture_is_never_overwritten(tmp_path: Path) -> None:
    """The clock jumped back: an error, and the old picture is as it was."""
    old = tmp_path / "20231114T221320100Z-000001.png"
    old.write_bytes(b"old")
    with pytest.raises(CaptureError, match="exists already"):
        run(make_bench([make_frame(1)]), tmp_path)
    assert old.read_bytes() == b"old"


def test_a_full_disk_leaves_room_for_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops while 100 MB are left, whatever the limit says."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 9 * 10**8, 10**8))
    with pytest.raises(CaptureError, match="is full"):
        run(make_bench([make_frame(1)]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk error in the middle: a typed error, and nothing that `teach` could take for a picture."""

    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CaptureError, match="Input/output error"):
        run(make_bench([make_frame(1)]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_camera_is_named_in_many_ways(tmp_path: Path) -> None:
    """Simulation, index, URL, folder, video file, or the camera of a configuration."""
    assert isinstance(parse_source("sim").camera, SimulatedCameraSettings)
    assert parse_source("0").camera == OpenCvCameraSettings(kind="opencv", source=0)
    device = parse_source("/dev/video0").camera
    assert device == OpenCvCameraSettings(kind="opencv", source="/dev/video0"), "live: it cannot deliver every frame"
    assert parse_source("rtsp://cam/s").camera == OpenCvCameraSettings(kind="opencv", source="rtsp://cam/s")
    assert parse_source(str(tmp_path)).camera == FolderCameraSettings(kind="folder", path=tmp_path)
    (tmp_path / "a.mp4").touch()
    video = parse_source(str(tmp_path / "a.mp4")).camera
    assert isinstance(video, OpenCvCameraSettings)
    assert video.every_frame
    file = tmp_path / "line.toml"
    file.write_text("device={name='a',state_dir='s'}\nbundle.path='b'\ncamera={kind='sim',width_px=64}\n")
    configured = parse_source(str(file)).camera
    assert isinstance(configured, SimulatedCameraSettings)
    assert configured.width_px == 64
    with pytest.raises(ConfigError):
        parse_source(str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match="no such file, device or folder"):
        parse_source(str(tmp_path / "mistyped"))


def test_a_watched_folder_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    """Even one that the line itself empties after inspection."""
    watched, out = tmp_path / "in", tmp_path / "out"
    watched.mkdir()
    out.mkdir()
    run(make_bench([make_frame(1)]), watched)
    before = {file.name: file.read_bytes() for file in watched.iterdir()}
    settings = FolderCameraSettings(kind="folder", path=watched, after="delete")
    camera = open_source(Source(settings), SystemClock())
    try:
        plan = CapturePlan(out, 1, 0, 10**9)
        assert capture(camera, plan, SystemClock(), threading.Event(), lambda _tally: None).frames == 1
    finally:
        camera.close()
    assert {file.name: file.read_bytes() for file in watched.iterdir()} == before


def test_captured_frames_do_not_come_back_as_new_ones(tmp_path: Path) -> None:
    """Saving into the watched folder would never end."""
    source = Source(FolderCameraSettings(kind="folder", path=tmp_path))
    for out in (tmp_path, tmp_path / "sub"):
        with pytest.raises(ConfigError, match="lies in the watched folder"):
            refuse_feedback(source, out)
    refuse_feedback(source, tmp_path.parent / "elsewhere")
