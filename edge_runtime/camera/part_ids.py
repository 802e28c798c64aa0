"""Part ids for sources whose parts have no name of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.ops.clock import Clock


def run_stamp(clock: Clock) -> str:
    """When the source was opened, as in 20260131T074503: counters start again with each run, part ids must not."""
    return datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
