"""What the product uses of `threading`, on a simulated world: see `baton`."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from baton import Task, World


def sim_threading(world: World) -> SimpleNamespace:
    """A stand-in for the module `threading` whose threads belong to `world`."""
    return SimpleNamespace(
        Lock=lambda: SimLock(world),
        RLock=lambda: SimLock(world),
        Condition=lambda lock=None: SimCondition(world, lock),
        Event=lambda: SimEvent(world),
        Thread=lambda **options: SimThread(world, **options),
        get_ident=lambda: world.current.ident,
        current_thread=threading.current_thread,
        enumerate=threading.enumerate,
    )


def _ns(seconds: float) -> int:
    """Rounded up: a wait of less than a nanosecond would otherwise end before it began, for ever."""
    return math.ceil(seconds * 1e9)


class SimLock:
    """A reentrant lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._owner: Task | None = None
        self._depth = 0
        self._waiting: list[tuple[Task, int]] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002  (threading's)
        """As `threading.RLock`."""
        self._world.maybe_switch()
        while self._owner is not None and self._owner is not self._world.current:
            if not blocking:
                return False
            deadline_ns = None if timeout < 0 else self._world.now_ns + _ns(timeout)
            self._waiting.append(self._world.ticket())
            if not self._world.wait(deadline_ns):
                return False
        self._owner = self._world.current
        self._depth += 1
        return True

    def release(self) -> None:
        """As `threading.RLock`. A killed thread leaves every `with`, also those whose lock it had given up to wait."""
        if self._owner is not self._world.current and self._world.current.killed:
            return
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            waiting, self._waiting = self._waiting, []
            for ticket in waiting:
                self._world.wake(ticket)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SimCondition:
    """A condition variable."""

    def __init__(self, world: World, lock: SimLock | None = None) -> None:
        self._world = world
        self._lock = SimLock(world) if lock is None else lock
        self._waiting: list[tuple[Task, int]] = []

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Condition`."""
        deadline_ns = None if timeout is None else self._world.now_ns + _ns(timeout)
        ticket = self._world.ticket()
        self._waiting.append(ticket)
        self._lock.release()
        try:
            return self._world.wait(deadline_ns)
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            if not self._world.current.killed:
                self._lock.acquire()

    def wait_for(self, predicate: Callable[[], object], timeout: float | None = None) -> object:
        """As `threading.Condition`."""
        until_ns = None if timeout is None else self._world.now_ns + _ns(timeout)
        while not (result := predicate()):
            if until_ns is None:
                self.wait()
                continue
            left_ns = until_ns - self._world.now_ns
            if left_ns <= 0:
                return result
            self.wait(left_ns / 1e9)
        return result

    def notify(self, n: int = 1) -> None:
        """As `threading.Condition`."""
        woken, self._waiting = self._waiting[:n], self._waiting[n:]
        for ticket in woken:
            self._world.wake(ticket)

    def notify_all(self) -> None:
        """As `threading.Condition`."""
        self.notify(len(self._waiting))

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class SimEvent:
    """An event."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_set = False
        self._waiting: list[tuple[Task, int]] = []

    def is_set(self) -> bool:
        """As `threading.Event`."""
        return self._is_set

    def set(self) -> None:
        """As `threading.Event`."""
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for ticket in waiting:
            self._world.wake(ticket)

    def clear(self) -> None:
        """As `threading.Event`."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event`."""
        if not self._is_set:
            ticket = self._world.ticket()
            self._waiting.append(ticket)
            self._world.wait(None if timeout is None else self._world.now_ns + _ns(timeout))
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        return self._is_set


class SimThread:
    """A thread."""

    def __init__(
        self,
        world: World,
        target: Callable[..., None],
        name: str = "thread",
        args: Iterable[object] = (),
        *,
        daemon: bool = True,
    ) -> None:
        self._world = world
        self._target = target
        self._args = tuple(args)
        self._task: Task | None = None
        self.name = name
        self.daemon = daemon

    @property
    def ident(self) -> int | None:
        """As `threading.Thread`."""
        return None if self._task is None else self._task.ident

    def start(self) -> None:
        """As `threading.Thread`."""
        self._task = self._world.start(self.name, lambda: self._target(*self._args))

    def is_alive(self) -> bool:
        """As `threading.Thread`."""
        return self._task is not None and not self._task.done

    def join(self, timeout: float | None = None) -> None:
        """As `threading.Thread`."""
        if self._task is None or self._task.done:
            return
        self._task.joiners.append(self._world.ticket())
        self._world.wait(None if timeout is None else self._world.now_ns + _ns(timeout))
