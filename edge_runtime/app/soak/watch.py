"""What a process costs and how its costs develop: samples from /proc, and the slope through them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_SAMPLES = 20
"""Fewer say nothing about a slope."""
CONFIDENCE_Z = 1.96
"""95 %, two-sided."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon at one moment."""

    at_s: float
    """Since the first part."""
    rss_mb: float
    """Resident memory, MiB."""
    descriptors: int
    threads: int
    latency_ms: float
    """Median from trigger to verdict since the sample before; NaN if none came."""
    behind: int
    """Parts that were given and have no verdict at the subscriber."""


def process_costs(pid: int) -> tuple[float, int, int]:
    """Resident MiB, open descriptors, threads.

    Raises:
        OSError: the process is gone.
    """
    folder = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (folder / "status").read_text("utf-8").splitlines() if ":" in line)
    rss_kb, threads = fields["VmRSS"].split()[0], fields["Threads"]
    return int(rss_kb) / 1024, len(list((folder / "fd").iterdir())), int(threads)


@dataclass(frozen=True, slots=True)
class Slope:
    """Change per hour, by least squares, with its 95 % interval."""

    per_h: float
    low: float
    high: float
    samples: int


def slope(times_s: Sequence[float], values: Sequence[float]) -> Slope | None:
    """The slope through the values; None if there are too few.

    Neighbouring samples resemble each other, which makes an interval from independent errors too narrow. It is widened
    as for n·(1 − r)/(1 + r) samples, r being the residuals' correlation with their neighbours (Bartlett's effective
    sample size for a first-order autoregression).

    Args:
        times_s: ascending.
        values: as many; NaN where there is none.
    """
    time_h = np.asarray(times_s, dtype=np.float64) / 3_600
    value = np.asarray(values, dtype=np.float64)
    known = np.isfinite(value)
    time_h, value = time_h[known], value[known]
    if value.size < LEAST_SAMPLES or np.ptp(time_h) == 0:
        return None
    centred = time_h - time_h.mean()
    spread = float(centred @ centred)
    steepness = float(centred @ value) / spread
    residuals = value - value.mean() - steepness * centred
    energy = float(residuals @ residuals)
    neighbours = float(residuals[1:] @ residuals[:-1]) / energy if energy > 0 else 0.0
    kept = min(max(neighbours, 0.0), 0.99)
    effective = max(value.size * (1 - kept) / (1 + kept), 3.0)
    error = float(np.sqrt(energy / (effective - 2) / (spread * effective / value.size)))
    margin = CONFIDENCE_Z * error
    return Slope(steepness, steepness - margin, steepness + margin, int(value.size))
