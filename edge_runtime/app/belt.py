"""From the configuration to the belt that simulated camera and PLC share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ops.belt import BeltPlan

if TYPE_CHECKING:
    from edge_runtime.config.camera import SimulationSettings
    from edge_runtime.ops.clock import Clock

BELT_START_NS = 1_000_000_000


def belt_plan(settings: SimulationSettings, clock: Clock) -> BeltPlan:
    """The belt that simulated camera and PLC share; it starts to move when the line had time to start."""
    return BeltPlan(
        seed=settings.seed,
        start_ns=clock.monotonic_ns() + BELT_START_NS,
        parts_per_s=settings.parts_per_s,
        defect_rate=settings.defect_rate,
        dropped_trigger_rate=settings.dropped_trigger_rate,
        travel_ns=settings.travel_ms * 1_000_000,
        ticks_per_s=settings.ticks_per_s,
        parts=settings.parts,
    )
