"""The simulated conveyor as a camera: the twin that the demo and the tests run on."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.camera.part_ids import run_stamp
from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.camera.sim_scene import render_part
from edge_runtime.domain.frame import Frame, Trigger

if TYPE_CHECKING:
    from edge_runtime.camera.port import Arrival
    from edge_runtime.camera.sim_part import Pixels
    from edge_runtime.config.camera import SimulatedCameraSettings
    from edge_runtime.ops.belt import BeltPart, BeltPlan
    from edge_runtime.ops.clock import Clock


@dataclass(frozen=True, slots=True)
class _Upcoming:
    part: BeltPart
    pixels: Pixels


class ConveyorCamera:
    """See `Camera`. Sees each part of the belt plan at its trigger instant, except those whose trigger is dropped.

    `part_sequence` is the part's number on the belt; `defective` in the plan is the truth about it. A part that passed
    while nobody asked is still delivered, with its original trigger. After the last part the state is EXHAUSTED and
    `next_frame` returns None at once. No thread: frames are rendered by the caller, before the part arrives.
    """

    def __init__(self, settings: SimulatedCameraSettings, clock: Clock, belt: BeltPlan) -> None:
        self._settings = settings
        self._clock = clock
        self._belt = belt
        self._closed = threading.Event()
        self._run = ""
        self._sequence = 0
        self._next_part = 1
        self._upcoming: _Upcoming | None = None
        self._exhausted = False

    @property
    def name(self) -> str:
        """See `Camera`."""
        return self._settings.name

    def open(self) -> None:
        """See `Camera`."""
        self._run = run_stamp(self._clock)
        self._prepare()  # drawing the scene takes longer than the first part needs to arrive

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """See `Camera`."""
        deadline_ns = self._clock.monotonic_ns() + round(max(timeout_s, 0.0) * 1e9)
        upcoming = self._prepare()
        if upcoming is None:
            return None
        due_ns = upcoming.part.triggered_ns
        self._clock.wait(self._closed, min(due_ns, deadline_ns) - self._clock.monotonic_ns())
        now_ns = self._clock.monotonic_ns()
        if self._closed.is_set() or now_ns < due_ns:
            return None
        self._upcoming = None
        self._sequence += 1
        trigger = Trigger(
            sequence=self._sequence,
            part_id=f"{self.name}-{self._run}-{upcoming.part.sequence:06d}",
            triggered_ns=due_ns,
            triggered_wall_ns=self._clock.wall_ns() - (now_ns - due_ns),
            encoder_ticks=self._belt.encoder_at(due_ns),
            part_sequence=upcoming.part.sequence,
        )
        return Frame(trigger, (upcoming.pixels,), now_ns)

    def settle(self, arrival: Arrival) -> None:
        """See `Camera`."""

    def status(self) -> CameraStatus:
        """See `Camera`."""
        if self._exhausted:
            return CameraStatus(CameraState.EXHAUSTED, "all parts of the simulation have passed", 0, 0)
        return CameraStatus(CameraState.CONNECTED, "", 0, 0)

    def close(self) -> None:
        """See `Camera`."""
        self._closed.set()

    def _prepare(self) -> _Upcoming | None:
        """The next part that the camera sees, rendered; None after the last."""
        while self._upcoming is None and not self._closed.is_set():
            part = self._belt.part(self._next_part)
            if part is None:
                self._exhausted = True
                return None
            self._next_part += 1
            if not part.trigger_dropped:
                self._upcoming = _Upcoming(part, self._render(part))
        return self._upcoming

    def _render(self, part: BeltPart) -> Pixels:
        return render_part(
            self._belt.seed,
            part.sequence,
            defective=part.defective,
            width_px=self._settings.width_px,
            height_px=self._settings.height_px,
            illumination_drift=self._settings.illumination_drift,
        )
