from __future__ import annotations

import threading

import pytest

from edge_runtime.camera import create
from edge_runtime.camera.port import CameraState
from edge_runtime.config.camera import SimulatedCameraSettings
from edge_runtime.domain.errors import CameraError
from edge_runtime.ops.belt import BeltPlan
from edge_runtime.ops.clock import SimulatedClock

PERIOD_NS = 100_000_000


class NothingSeen:
    """A ledger without verdicts."""

    def is_seen(self, file: object) -> bool:
        """See `SeenFiles`."""
        return False


@pytest.fixture
def clock():
    """Time stands still until a test lets it pass."""
    return SimulatedClock()


def _open(clock, *, parts=None, dropped=0.0):
    belt = BeltPlan(
        seed=11,
        start_ns=clock.monotonic_ns(),
        parts_per_s=10.0,
        defect_rate=0.2,
        dropped_trigger_rate=dropped,
        travel_ns=500_000_000,
        ticks_per_s=1_000,
        parts=parts,
    )
    settings = SimulatedCameraSettings(kind="sim", width_px=64, height_px=48)
    camera = create(settings, clock, NothingSeen(), belt)
    camera.open()
    return camera, belt


def test_a_part_is_seen_at_its_trigger_and_not_before(clock):
    """The trigger's instant, number and encoder position are the belt's own."""
    camera, belt = _open(clock)
    start_ns = clock.monotonic_ns()
    clock.advance(PERIOD_NS - 1)
    assert camera.next_frame(0.0) is None
    clock.advance(1)
    frame = camera.next_frame(0.0)
    assert frame.trigger.triggered_ns == start_ns + PERIOD_NS
    assert frame.trigger.part_sequence == 1
    assert frame.trigger.encoder_ticks == belt.encoder_at(start_ns + PERIOD_NS) == 100
    assert frame.exposures[0].shape == (48, 64, 3)
    assert camera.next_frame(0.0) is None


def test_a_slow_line_gets_every_part_with_its_original_trigger(clock):
    """Parts that passed while nobody asked are late, not lost: their triggers tell by how much."""
    camera, _ = _open(clock)
    clock.advance(5 * PERIOD_NS)
    now_ns = clock.monotonic_ns()
    frames = [camera.next_frame(0.0) for _ in range(5)]
    assert [frame.trigger.part_sequence for frame in frames] == [1, 2, 3, 4, 5]
    assert [now_ns - frame.trigger.triggered_ns for frame in frames] == [n * PERIOD_NS for n in (4, 3, 2, 1, 0)]
    assert all(frame.captured_ns == now_ns for frame in frames)
    assert camera.next_frame(0.0) is None


def test_parts_with_a_dropped_trigger_yield_no_frame(clock):
    """The camera misses what the plan says it misses; its own sequence has no gap, the part sequence has."""
    camera, belt = _open(clock, parts=200, dropped=0.2)
    clock.advance(200 * PERIOD_NS)
    frames = []
    while (frame := camera.next_frame(0.0)) is not None:
        frames.append(frame)
    expected = [n for n in range(1, 201) if not belt.part(n).trigger_dropped]
    assert 100 < len(expected) < 200
    assert [frame.trigger.part_sequence for frame in frames] == expected
    assert [frame.trigger.sequence for frame in frames] == list(range(1, len(expected) + 1))


def test_after_the_last_part_the_source_is_exhausted(clock):
    """A finite simulation ends with a state of its own, and never waits again."""
    camera, _ = _open(clock, parts=2)
    clock.advance(10 * PERIOD_NS)
    assert camera.status().state is CameraState.CONNECTED
    for _ in range(2):
        assert camera.next_frame(0.0) is not None
    assert camera.next_frame(60.0) is None
    assert camera.status().state is CameraState.EXHAUSTED


def test_closing_wakes_a_line_that_waits(clock):
    """A stop does not wait for the next part."""
    camera, _ = _open(clock)
    results = []
    waiting = threading.Thread(target=lambda: results.append(camera.next_frame(1e6)))
    waiting.start()
    camera.close()
    waiting.join(10)
    assert results == [None]


def test_a_conveyor_without_a_belt_is_a_configuration_error(clock):
    """The simulated camera needs the simulation's belt."""
    with pytest.raises(CameraError) as caught:
        create(SimulatedCameraSettings(kind="sim"), clock, NothingSeen(), None)
    assert "[simulation]" in caught.value.action
