"""Whether the stages make progress, and what the PLC is told about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.status import LineHealth, LineState
from edge_runtime.plc.port import DeviceState

if TYPE_CHECKING:
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.dispatch import DispatchStage
    from edge_runtime.services.stage import StageThread

HUNG_AFTER_NS = 3_000_000_000
"""A stage that finishes no step for so long hangs: every step is bounded to a fraction of a second."""
DEADLINE_PATH = frozenset({"capture", "inspect", "dispatch"})


class Vitals:
    """Watches the stage threads. Read by the PLC link at every heartbeat, by the watchdog and by the status."""

    def __init__(self, dispatch: DispatchStage, trust: str, clock: Clock) -> None:
        self._dispatch = dispatch
        self._trust = trust
        self._clock = clock
        self._threads: dict[str, StageThread] = {}
        self.health = LineHealth(LineState.STARTING, ())
        """Set by the supervisor at every tick."""

    def watch(self, threads: dict[str, StageThread]) -> None:
        """From now on these are the line's stages."""
        self._threads = threads

    def dead_stage(self) -> str | None:
        """A stage whose thread has ended."""
        return next((name for name, thread in self._threads.items() if not thread.alive), None)

    def hung_stage(self) -> str | None:
        """A stage without progress."""
        now_ns = self._clock.monotonic_ns()
        hung = (name for name, thread in self._threads.items() if now_ns - thread.progress_ns > HUNG_AFTER_NS)
        return next(hung, None)

    def deadline_path_alive(self) -> bool:
        """Whether capture, inspect and dispatch make progress: what the watchdog is fed with."""
        now_ns = self._clock.monotonic_ns()
        return all(
            thread.alive and now_ns - thread.progress_ns < HUNG_AFTER_NS
            for name, thread in self._threads.items()
            if name in DEADLINE_PATH
        )

    def device_state(self) -> DeviceState:
        """What the PLC is told, as of now: a hung inspection takes the ready bit away without anybody's help."""
        return DeviceState(
            online=True,
            ready=self.health.can_judge and self.deadline_path_alive(),
            busy=self._dispatch.open_parts > 0,
            fault=self.health.state is LineState.FAULT,
            development_trust=self._trust != "production",
        )
