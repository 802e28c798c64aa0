"""How long to wait before the next attempt to connect."""

from __future__ import annotations

FIRST_NS = 250_000_000
LONGEST_NS = 10_000_000_000


def backoff_ns(failures: int, draw: float) -> int:
    """Doubles from 0.25 s to 10 s; jitter keeps a hall of devices from storming a broker that comes back.

    Args:
        failures: attempts that failed in a row, ≥ 0.
        draw: random, 0…1: takes away up to half.
    """
    full_ns = min(LONGEST_NS, FIRST_NS << min(failures, 16))
    return round(full_ns * (1.0 - 0.5 * draw))
