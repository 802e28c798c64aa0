"""Several lines in one process.

One engine where they can share it, the processor by turns, each supervised by itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Final

from edge_runtime.app.herald import JointProgress
from edge_runtime.app.running import EXHAUSTED_TICKS, TICK_NS, RunningLine
from edge_runtime.app.sharing import Shared, SharedEngines
from edge_runtime.app.signals import Signals
from edge_runtime.domain.errors import EdgeError
from edge_runtime.engine.feeds import usable_cores
from edge_runtime.services.engine_turns import EngineTurns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.app.herald import Herald
    from edge_runtime.app.running import LineSource
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
END_S: Final = 10.0
"""A supervisor that has not come to its end this long after its line's drain timeout is left behind."""


def side_by_side(settings: Sequence[EngineSettings]) -> int:
    """How many inspections fit on the cores at once, each with the threads of the line that has most."""
    cores = usable_cores()
    return max(1, cores // max(one.threads or cores for one in settings))


def open_fleet(sources: Sequence[LineSource], clock: Clock, progress: Callable[[], None]) -> tuple[RunningLine, ...]:
    """Open every device of every line.

    Args:
        sources: of the lines.
        clock: of all of them.
        progress: feeds the watchdog.

    Raises:
        EdgeError: what cannot work, and on which line; nothing is left open.
    """
    names = [source.config.device.name for source in sources]
    at_once = side_by_side([source.config.engine for source in sources])
    turns, engines = EngineTurns(names, at_once, clock), SharedEngines()
    joint = JointProgress(len(sources), progress, clock)
    with contextlib.ExitStack() as undo:
        lines = []
        for number, (name, source) in enumerate(zip(names, sources, strict=True)):
            shared = Shared(name, engines, turns.of(number))
            with _named(name), _speaking_for(name):
                line = RunningLine(source, clock, joint.of(number), shared)
            undo.callback(line.abandon)
            lines.append(line)
        undo.pop_all()
    _log.info("%d lines in this process, %d inspection(s) at a time", len(lines), at_once)
    return tuple(lines)


def run_fleet(
    lines: Sequence[RunningLine],
    signals: Signals,
    herald: Herald,
    clock: Clock,
    on_tick: Callable[[], None] | None = None,
    finished: Callable[[], bool] | None = None,
) -> None:
    """Run all lines until stopped, or until all are finished. One that breaks ends all: the process is started anew.

    Args:
        lines: as `open_fleet` made them.
        signals: for all of them.
        herald: is told how they do.
        clock: of all lines.
        on_tick: called a few times per second.
        finished: what else has to be true before exhausted sources end the lines.

    Raises:
        EdgeError: a line could not be started; says which.
    """
    supervisors = [_Supervisor(line, herald) for line in lines]
    for supervisor in supervisors:
        supervisor.start()
    never, exhausted = threading.Event(), 0
    while not signals.stop_asked and exhausted < EXHAUSTED_TICKS:
        if any(supervisor.error is not None for supervisor in supervisors):
            break
        _pass_on(signals, supervisors)
        done = all(line.line.is_exhausted() for line in lines) and (finished is None or finished())
        exhausted = exhausted + 1 if done else 0
        if on_tick is not None:
            on_tick()
        clock.wait(never, TICK_NS)
    _end(supervisors, clock)


class _Supervisor(threading.Thread):
    """Runs one line, so that what holds one up holds up no other."""

    def __init__(self, line: RunningLine, herald: Herald) -> None:
        super().__init__(name=f"{line.name}/supervisor", daemon=True)
        self.line = line
        self.signals = Signals()
        self.error: Exception | None = None
        """Why it ended before it was asked to."""
        self._herald = herald

    def run(self) -> None:
        try:
            with _named(self.line.name):
                self.line.run(self.signals, self._herald, finished=lambda: False)
        except Exception as error:  # noqa: BLE001  (raised again in the main thread)
            self.error = error


def _pass_on(signals: Signals, supervisors: Sequence[_Supervisor]) -> None:
    """Each flag is taken before anybody is told: a signal that comes meanwhile sets it again, and is passed on next."""
    if signals.reload_asked:
        signals.reload_asked = False
        for supervisor in supervisors:
            supervisor.signals.reload_asked = True
            supervisor.line.wake.set()
    if signals.acknowledge_asked:
        signals.acknowledge_asked = False
        for supervisor in supervisors:
            supervisor.signals.acknowledge_asked = True
            supervisor.line.wake.set()


def _end(supervisors: Sequence[_Supervisor], clock: Clock) -> None:
    """Stop all lines at once, each within its own drain timeout.

    Raises:
        Exception: what ended one of them before.
    """
    asked_ns = clock.monotonic_ns()
    for supervisor in supervisors:
        supervisor.signals.stop_asked = True
        supervisor.line.wake.set()
    for supervisor in supervisors:
        gone_s = (clock.monotonic_ns() - asked_ns) / 1e9
        supervisor.join(max(0.0, supervisor.line.drain_timeout_s + END_S - gone_s))
        if supervisor.is_alive():
            _log.error("line %s does not end; leaving it behind", supervisor.line.name)
    for supervisor in supervisors:
        if supervisor.error is not None:
            raise supervisor.error


@contextlib.contextmanager
def _speaking_for(name: str) -> Iterator[None]:
    """What is logged meanwhile says of which line it is, and the threads that are made carry its name."""
    thread = threading.current_thread()
    before, thread.name = thread.name, f"{name}/opening"
    try:
        yield
    finally:
        thread.name = before


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """What goes wrong says on which line."""
    try:
        yield
    except EdgeError as error:
        error.what = f"line {name}: {error.what}"
        error.args = (error.what,)
        raise
