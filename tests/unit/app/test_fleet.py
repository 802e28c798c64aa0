from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from edge_runtime.app.fleet import END_S, _end, _pass_on
from edge_runtime.app.signals import Signals
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Callable


class Waking(threading.Event):
    """Something happens at the very moment a line is woken."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def set(self) -> None:
        """As an event's."""
        super().set()
        self._happens()


class Hanging:
    """A supervisor that never ends: whoever waits for it waits as long as he is prepared to."""

    def __init__(self, name: str, clock: SimulatedClock, drain_timeout_s: float) -> None:
        self.signals, self.error = Signals(), None
        self.line = SimpleNamespace(name=name, drain_timeout_s=drain_timeout_s, wake=threading.Event())
        self._clock = clock

    def join(self, timeout_s: float) -> None:
        """As a thread's."""
        self._clock.advance(round(timeout_s * 1e9))

    def is_alive(self) -> bool:
        """As a thread's."""
        return True


def supervisor(wake: threading.Event) -> Any:
    """What signals are passed on to."""
    return SimpleNamespace(signals=Signals(), line=SimpleNamespace(wake=wake))


def test_a_signal_that_comes_while_another_is_passed_on_is_not_lost() -> None:
    """The configuration may have been written between the two: every line reads it again."""
    signals = Signals()
    first, second = supervisor(Waking(lambda: signals._on_reload(1, None))), supervisor(threading.Event())
    signals._on_reload(1, None)
    _pass_on(signals, (first, second))
    assert first.signals.reload_asked
    assert second.signals.reload_asked
    assert signals.reload_asked


def test_what_one_line_has_done_already_is_not_asked_of_it_again() -> None:
    """An acknowledgement is recorded as a person's act: once for each signal."""
    signals, line = Signals(), supervisor(threading.Event())
    signals._on_acknowledge(1, None)
    _pass_on(signals, (line,))
    line.signals.acknowledge_asked = False
    _pass_on(signals, (line,))
    assert not line.signals.acknowledge_asked
    assert not signals.acknowledge_asked


def test_lines_that_do_not_end_are_waited_for_together() -> None:
    """The service manager kills the process after the longest drain and a few seconds, however many lines hang."""
    clock = SimulatedClock(start_monotonic_ns=0)
    hanging: list[Any] = [Hanging(name, clock, drain_s) for name, drain_s in (("exit", 60), ("entry", 5), ("oven", 60))]
    _end(hanging, clock)
    assert clock.monotonic_ns() <= round((60 + END_S) * 1e9)
    assert all(one.signals.stop_asked and one.line.wake.is_set() for one in hanging)
