"""Whether the stages make progress, and what the PLC is told about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.status import LineHealth, LineState
from edge_runtime.plc.port import DeviceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.dispatch import DispatchStage
    from edge_runtime.services.flow import RecipeCell
    from edge_runtime.services.stage import StageThread

HUNG_AFTER_NS = 3_000_000_000
"""A stage that finishes no step for so long hangs: every step is bounded to a fraction of a second."""
DEADLINE_PATH = frozenset({"capture", "inspect", "dispatch"})


class Vitals:
    """Watches the stage threads. Read by the PLC link at every heartbeat, by the watchdog and by the status."""

    def __init__(self, dispatch: DispatchStage, in_force: RecipeCell, clock: Clock) -> None:
        self._dispatch = dispatch
        self._in_force = in_force
        self._clock = clock
        self._threads: dict[str, StageThread] = {}
        self.product_code: Callable[[], int | None] | None = None
        """Code of the product that is inspected now, where the PLC wants to know."""
        self.health = LineHealth(LineState.STARTING)
        """Set by the supervisor at every tick."""

    def watch(self, threads: dict[str, StageThread]) -> None:
        """From now on these are the line's stages."""
        self._threads = threads

    def dead_stage(self) -> str | None:
        """A stage on the deadline path whose thread has ended."""
        return next((_kind(name) for name in self._stages(DEADLINE_PATH) if not self._threads[name].alive), None)

    def hung_stage(self) -> str | None:
        """A stage on the deadline path without progress."""
        return next((_kind(name) for name in self._stages(DEADLINE_PATH) if self._hangs(name)), None)

    def stalled_stages(self) -> list[str]:
        """Stages beside the deadline path that have ended or hang: a slow disk must not stop the line."""
        beside = self._stages(frozenset(map(_kind, self._threads)) - DEADLINE_PATH)
        return [name for name in beside if self._hangs(name) or not self._threads[name].alive]

    def deadline_path_alive(self) -> bool:
        """Whether capture, inspect and dispatch make progress: what the watchdog is fed with."""
        return self.dead_stage() is None and self.hung_stage() is None

    def hangs(self, name: str) -> bool:
        """Whether this stage, in any of its threads, has finished no step for too long."""
        return any(self._hangs(thread) for thread in self._stages(frozenset({name})))

    def device_state(self) -> DeviceState:
        """What the PLC is told, as of now: a hung inspection takes the ready bit away without anybody's help."""
        return DeviceState(
            online=True,
            ready=self.health.can_judge and self.deadline_path_alive(),
            busy=self._dispatch.open_parts > 0,
            fault=self.health.state is LineState.FAULT,
            degraded=self.health.state is LineState.DEGRADED,
            reason=self.health.worst,
            product_code=None if self.product_code is None else self.product_code(),
            development_trust=self._in_force.bundle.trust != "production",
        )

    def _hangs(self, thread: str) -> bool:
        return self._clock.monotonic_ns() - self._threads[thread].progress_ns > HUNG_AFTER_NS

    def _stages(self, names: frozenset[str]) -> list[str]:
        """Names of their threads."""
        return [name for name in self._threads if _kind(name) in names]


def _kind(thread: str) -> str:
    """The stage that a thread belongs to: `inspect-1` is one more of `inspect`."""
    return thread.partition("-")[0]
