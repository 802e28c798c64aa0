"""The simulated belt: one plan that the simulated camera and the simulated PLC both read, without shared state."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BeltPart:
    """The truth about one simulated part."""

    sequence: int
    """Part number, first is 1: the PLC's part sequence."""
    triggered_ns: int
    """Monotonic instant at the trigger sensor."""
    defective: bool
    trigger_dropped: bool
    """The PLC counts it, the camera does not see it."""


@dataclass(frozen=True, slots=True)
class BeltPlan:
    """A deterministic schedule of parts: the same seed gives the same belt to whoever asks."""

    seed: int
    start_ns: int
    parts_per_s: float
    defect_rate: float
    dropped_trigger_rate: float
    travel_ns: int
    ticks_per_s: int
    parts: int | None = None
    """Total number of parts; None: no end."""

    def part(self, sequence: int) -> BeltPart | None:
        """Part number `sequence` (≥ 1); None beyond the last."""
        if sequence < 1 or (self.parts is not None and sequence > self.parts):
            return None
        draw = random.Random(f"{self.seed}/{sequence}").random()  # noqa: S311  (a simulation)
        return BeltPart(
            sequence=sequence,
            triggered_ns=self.start_ns + round(sequence * 1e9 / self.parts_per_s),
            defective=draw < self.defect_rate,
            trigger_dropped=draw >= 1.0 - self.dropped_trigger_rate,
        )

    def triggered_until(self, now_ns: int) -> int:
        """Number of the newest part that has passed the trigger sensor at `now_ns`; 0 before the first."""
        count = max(0, int((now_ns - self.start_ns) * self.parts_per_s / 1e9) + 1)
        while count > 0 and ((part := self.part(count)) is None or part.triggered_ns > now_ns):
            count = self.parts if part is None and self.parts is not None else count - 1
        return count

    def encoder_at(self, now_ns: int) -> int:
        """Belt encoder position in ticks."""
        return max(0, (now_ns - self.start_ns) * self.ticks_per_s // 1_000_000_000)
