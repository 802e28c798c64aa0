"""What a soak is to do, and what it may find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

DEMO_SIZE_PX = (320, 240)


@dataclass(frozen=True, slots=True)
class Most:
    """Slopes beyond which a soak has failed: when even the low end of the 95 % interval is above."""

    rss_mb_per_h: float = 8.0
    descriptors_per_h: float = 2.0
    threads_per_h: float = 1.0
    latency_ms_per_h: float = 5.0


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """One soak."""

    duration_s: float
    parts_per_s: float
    seed: int
    bundle: Path
    work: Path
    """Everything of the run lies here."""
    width_px: int = DEMO_SIZE_PX[0]
    height_px: int = DEMO_SIZE_PX[1]
    travel_ms: int = 2_000
    sample_every_s: float = 5.0
    warm_up_s: float = 120.0
    """Samples before this are shown but not judged."""
    warm_up_parts: int = 10_000
    """Nor those before so many parts, while the daemon's bounded memories fill: the names of files that are gone, parts
    that are closed. Of a run that is short for that two fifths are warm-up."""
    evidence: bool = True
    pictures: Literal["png", "bmp"] = "png"
    """How the belt stores them. A line of hundreds of parts per second has no time to decompress."""
    engine_threads: int = 0
    """0: as many as the engine likes."""
    most: Most = Most()

    @property
    def judged_from_s(self) -> float:
        """When the warm-up is over."""
        return min(max(self.warm_up_s, self.warm_up_parts / self.parts_per_s), self.duration_s * 2 / 5)
