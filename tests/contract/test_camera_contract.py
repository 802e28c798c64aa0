from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from camera_rigs import RIG_KINDS, build_rig, next_arrival

from edge_runtime.camera.port import CameraState
from edge_runtime.domain.frame import Frame, LostFrame, Trigger
from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from camera_rigs import Rig


@pytest.fixture(params=RIG_KINDS)
def rig(request, tmp_path) -> Iterator[Rig]:
    """Every adapter and its twin."""
    built = build_rig(request.param, tmp_path)
    yield built
    built.close()


def _take(rig: Rig, count: int) -> list[Frame]:
    frames = []
    for _ in range(count):
        rig.produce()
        arrival = next_arrival(rig.camera)
        assert isinstance(arrival, Frame)
        frames.append(arrival)
    return frames


class TestCameraContract:
    """What every frame source promises, whatever is in front of it."""

    def test_sequences_start_at_one_and_have_no_gap(self, rig):
        """The frame sequence counts deliveries, so that a gap can only mean a defect of ours."""
        rig.camera.open()
        assert [frame.trigger.sequence for frame in _take(rig, 6)] == [1, 2, 3, 4, 5, 6]

    def test_triggers_are_monotone_and_never_after_the_capture(self, rig):
        """The reject plan counts from the trigger: it lies before the capture, in order, and not in the future."""
        rig.camera.open()
        frames = _take(rig, 6)
        triggered = [frame.trigger.triggered_ns for frame in frames]
        assert triggered == sorted(triggered)
        assert all(frame.trigger.triggered_ns <= frame.captured_ns <= time.monotonic_ns() for frame in frames)
        assert all(abs(frame.trigger.triggered_wall_ns - time.time_ns()) < 60e9 for frame in frames)

    def test_part_ids_are_distinct(self, rig):
        """No two parts of a run share an id."""
        rig.camera.open()
        ids = [frame.trigger.part_id for frame in _take(rig, 6)]
        assert len(set(ids)) == 6

    def test_exposures_are_read_only_contiguous_pictures(self, rig):
        """Stages share exposures without copying: nobody may write into one."""
        rig.camera.open()
        for frame in _take(rig, 3):
            (exposure,) = frame.exposures
            assert exposure.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}
            assert exposure.ndim == 2 or exposure.shape[2] == 3
            assert exposure.flags.c_contiguous
            with pytest.raises(ValueError, match="read-only"):
                exposure[0, 0] = 0

    def test_a_working_source_says_connected(self, rig):
        """Once frames come, the status is CONNECTED with nothing to tell."""
        rig.camera.open()
        _take(rig, 2)
        status = rig.camera.status()
        assert (status.state, status.detail) == (CameraState.CONNECTED, "")

    def test_no_frame_in_time_is_none_and_in_bounded_time(self, rig):
        """Without a frame, `next_frame` returns None about when it was asked to, and does not raise."""
        rig.camera.open()
        began_s = time.monotonic()
        for timeout_s in (0.0, 0.05, -1.0):
            arrival = rig.camera.next_frame(timeout_s)
            assert arrival is None or arrival.trigger.sequence == 1
            if arrival is not None:
                break
        assert time.monotonic() - began_s < 10.0

    def test_settle_never_raises(self, rig):
        """A committed verdict is settled once, twice, and for an arrival that the source never made."""
        rig.camera.open()
        (frame,) = _take(rig, 1)
        rig.camera.settle(frame)
        rig.camera.settle(frame)
        stranger = Trigger(sequence=9, part_id="stranger", triggered_ns=1, triggered_wall_ns=1)
        rig.camera.settle(LostFrame(stranger, Reason.OVERLOAD, "displaced"))

    def test_close_is_idempotent_and_ends_every_thread(self, rig):
        """After `close` no thread of the adapter is left and no frame comes."""
        before = set(threading.enumerate())
        rig.camera.open()
        _take(rig, 2)
        rig.camera.close()
        rig.camera.close()
        ours = [t for t in threading.enumerate() if t not in before and "process_request_thread" not in t.name]
        assert ours == []
        assert rig.camera.next_frame(0.0) is None

    def test_close_before_open_does_nothing(self, rig):
        """A line that fails while it is being built closes what it has, opened or not."""
        rig.camera.close()

    def test_name_is_the_configured_one(self, rig):
        """Records name the camera as the configuration does."""
        assert rig.camera.name in {"folder", "camera", "conveyor"}


@pytest.mark.parametrize("kind", ["folder", "polled folder", "video, every frame", "conveyor"])
def test_opening_and_closing_leaks_no_file_descriptor(kind, tmp_path):
    """A source that is reopened for months must not run out of descriptors."""

    def cycle(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        rig = build_rig(kind, folder)
        rig.camera.open()
        _take(rig, 1)
        rig.close()
        return len(list(Path("/proc/self/fd").iterdir()))

    first = cycle(0)
    assert max(cycle(number) for number in range(1, 4)) <= first
