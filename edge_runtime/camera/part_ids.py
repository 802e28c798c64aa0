"""Part ids for sources whose parts have no name of their own."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_runtime.decision.clock_watch import is_unset

if TYPE_CHECKING:
    from edge_runtime.ops.clock import Clock


def run_stamp(clock: Clock) -> str:
    """When the source was opened, as in 20260131T074503: counters start again with each run, part ids must not.

    A board without a battery starts every day at the same second of 1970: there six random digits make the difference.
    """
    wall_ns = clock.wall_ns()
    stamp = datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{secrets.token_hex(3)}" if is_unset(wall_ns) else stamp
