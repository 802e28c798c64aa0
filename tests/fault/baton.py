"""Threads that run one at a time on simulated time: the same seed gives the same run, to the last switch.

The product's own threads, queues and events run unchanged: inside `World.installed()` its modules find the classes of
`sim_threading` where they say `threading`, and simulated time where they say `time`. Only the holder of the baton runs.
Whoever waits hands the baton on to one of those that can run, drawn by the seed; when nobody can run, time jumps to the
next instant at which somebody can. At a lock the baton is handed on now and then without need, as a scheduler does.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

from dice import dice
from sim_threading import sim_threading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_NS = 1_000_000_000_000
START_WALL_NS = 1_790_000_000_000_000_000
PREEMPTION = 0.02
"""How often the baton is handed on at a lock although its holder could go on."""
MOST_SWITCHES_AT_ONE_INSTANT = 200_000


class Killed(BaseException):
    """Raised in a thread whose process was killed: not an Exception, so that nothing of the product handles it."""


class StuckError(AssertionError):
    """The simulation cannot go on: everybody waits for somebody, or time stands still."""


class Task:
    """One thread of the simulation."""

    def __init__(self, name: str, group: str) -> None:
        self.name = name
        self.group = group
        self.baton = threading.Lock()
        self.baton.acquire()
        self.ident = id(self)
        self.waiting = 0
        """Number of the wait it is in; wake-ups meant for an earlier one are void."""
        self.is_waiting = False
        self.notified = False
        self.killed = False
        self.frozen_until_ns = 0
        self.done = False
        self.joiners: list[tuple[Task, int]] = []


class World:
    """Time, threads and what is to happen. Made and driven by one real thread, which is its first task."""

    def __init__(self, seed: int) -> None:
        self.now_ns = START_NS
        self.wall_offset_ns = START_WALL_NS - START_NS
        self.random = dice(f"interleaving/{seed}")
        self.switches = 0
        self.main = Task("main", "harness")
        self.current = self.main
        self.group = "harness"
        """Threads that the harness starts now belong to this process; others to that of their starter."""
        self.tasks: list[Task] = [self.main]
        self._ready: list[Task] = []
        self._timers: list[tuple[int, int, Task | Callable[[], None], int]] = []
        self._order = itertools.count()
        self._since_advance = 0
        self._failure: BaseException | None = None
        self._due: deque[Callable[[], None]] = deque()
        self._fate: Task | None = None
        """The thread in which planned events happen."""

    # what the clock and the threading twin use

    def wait(self, deadline_ns: int | None) -> bool:
        """Hand on the baton until woken (true) or until the deadline (false)."""
        task = self.current
        self._die_if_killed(task)
        task.waiting += 1
        task.is_waiting, task.notified = True, False
        if deadline_ns is not None:
            self._at(max(deadline_ns, self.now_ns), task, task.waiting)
        self._hand_on(task)
        self._die_if_killed(task)
        return task.notified

    def ticket(self) -> tuple[Task, int]:
        """What `wake` needs to end the wait that the current task is about to begin."""
        return self.current, self.current.waiting + 1

    def wake(self, ticket: tuple[Task, int]) -> None:
        """End a wait; void if it has ended already."""
        task, number = ticket
        if task.is_waiting and task.waiting == number:
            task.is_waiting, task.notified = False, True
            self._ready.append(task)

    def maybe_switch(self) -> None:
        """A point at which a scheduler could take the processor away."""
        if self.random.random() < PREEMPTION and not self.current.killed:
            task = self.current
            task.waiting += 1
            self._ready.append(task)
            self._hand_on(task)
            self._die_if_killed(task)

    def start(self, name: str, run: Callable[[], None]) -> Task:
        """A new thread, of the process that is being set up now, or of its starter's."""
        task = Task(name, self.group if self.current is self.main else self.current.group)
        self.tasks.append(task)
        threading.Thread(target=self._body, args=(task, run), name=f"sim-{name}", daemon=True).start()
        self._ready.append(task)
        return task

    # what the harness uses

    def call_at(self, instant_ns: int, action: Callable[[], None]) -> None:
        """Let something happen, in a thread of its own kind: it holds up other such events while it waits."""
        if self._fate is None:
            self._fate = self.start("fate", self._events)
            self._fate.group = "fate"
        self._at(instant_ns, action, 0)

    def sleep(self, duration_ns: int) -> None:
        """Let time pass for the calling task."""
        self.wait(self.now_ns + duration_ns)

    def sleep_until(self, instant_ns: int) -> None:
        """Let time pass for the calling task."""
        if instant_ns > self.now_ns:
            self.wait(instant_ns)

    def freeze(self, duration_ns: int, name: str | None = None, group: str = "daemon") -> None:
        """Take the processor away from a thread, or from all threads of a process (SIGSTOP)."""
        for task in self.tasks:
            if task.group == group and name in {None, task.name}:
                task.frozen_until_ns = max(task.frozen_until_ns, self.now_ns + duration_ns)

    def kill(self, group: str) -> None:
        """End every thread of a process at the point where it waits now (SIGKILL)."""
        doomed = [task for task in self.tasks if task.group == group and not task.done]
        for task in doomed:
            task.killed, task.frozen_until_ns = True, 0
            if task.is_waiting:
                self.wake((task, task.waiting))
        while not all(task.done for task in doomed):
            self.wait(self.now_ns)
        self.tasks = [task for task in self.tasks if not task.done]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The product's modules see this world's threads and time; the real ones come back at the end."""
        twin, clock = sim_threading(self), self._time()
        replaced = []
        for name, module in list(sys.modules.items()):
            if name.startswith("edge_runtime."):
                for attribute, real, simulated in (("threading", threading, twin), ("time", time, clock)):
                    if getattr(module, attribute, None) is real:
                        setattr(module, attribute, simulated)
                        replaced.append((module, attribute, real))
        try:
            yield
        finally:
            for group in {task.group for task in self.tasks} - {"harness"}:
                self.kill(group)
            for module, attribute, real in replaced:
                setattr(module, attribute, real)

    def _time(self) -> SimpleNamespace:
        return SimpleNamespace(
            monotonic=lambda: self.now_ns / 1e9,
            perf_counter=lambda: self.now_ns / 1e9,
            monotonic_ns=lambda: self.now_ns,
            perf_counter_ns=lambda: self.now_ns,
            time=lambda: (self.now_ns + self.wall_offset_ns) / 1e9,
            time_ns=lambda: self.now_ns + self.wall_offset_ns,
            sleep=lambda seconds: self.sleep(round(seconds * 1e9)),
        )

    # the scheduler

    def _at(self, instant_ns: int, what: Task | Callable[[], None], number: int) -> None:
        heapq.heappush(self._timers, (instant_ns, next(self._order), what, number))

    def _body(self, task: Task, run: Callable[[], None]) -> None:
        task.baton.acquire()
        try:
            if not task.killed:
                run()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  (a thread of the simulation must not die unseen)
            self._failure = error
        task.done = True
        for ticket in task.joiners:
            self.wake(ticket)
        self._next().baton.release()

    def _hand_on(self, task: Task) -> None:
        chosen = self._next()
        if chosen is not task:
            chosen.baton.release()
            task.baton.acquire()
        if task is self.main and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _next(self) -> Task:
        """Whose turn it is."""
        while True:
            chosen = self._draw() if self._failure is None else self._rescue_main()
            if chosen is not None:
                self.current = chosen
                self.switches += 1
                return chosen

    def _draw(self) -> Task | None:
        self._fire()
        self._since_advance += 1
        if self._since_advance > MOST_SWITCHES_AT_ONE_INSTANT:
            self._failure = StuckError(f"time stands still at {self.now_ns} ns; ready: {[t.name for t in self._ready]}")
            self._since_advance = 0
            return None
        if not self._ready:
            self._advance()
            return None
        place = self.random.randrange(len(self._ready)) if len(self._ready) > 1 else 0
        task = self._ready.pop(place)
        if task.frozen_until_ns > self.now_ns:
            task.is_waiting = True
            self._at(task.frozen_until_ns, task, task.waiting)
            return None
        task.is_waiting = False
        return task

    def _events(self) -> None:
        while True:
            while self._due:
                self._due.popleft()()
            self.wait(None)

    def _rescue_main(self) -> Task:
        self._ready = [task for task in self._ready if task is not self.main]
        self.main.is_waiting = False
        return self.main

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= self.now_ns:
            _, _, what, number = heapq.heappop(self._timers)
            if not isinstance(what, Task):
                self._due.append(what)
                if self._fate is not None and self._fate.is_waiting:
                    self.wake((self._fate, self._fate.waiting))
            elif what.is_waiting and what.waiting == number:
                what.is_waiting = False
                self._ready.append(what)

    def _advance(self) -> None:
        if not self._timers:
            self._failure = StuckError(f"everybody waits: {[t.name for t in self.tasks if not t.done]}")
            return
        self.now_ns = max(self.now_ns, self._timers[0][0])
        self._since_advance = 0

    def _die_if_killed(self, task: Task) -> None:
        if task.killed:
            raise Killed


class WorldClock:
    """The product's `Clock` on a world's time; the wall clock can be set as an operator sets it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic_ns(self) -> int:
        """See `Clock`."""
        return self._world.now_ns

    def wall_ns(self) -> int:
        """See `Clock`."""
        return self._world.now_ns + self._world.wall_offset_ns

    def wait(self, event: threading.Event, timeout_ns: int) -> bool:
        """See `Clock`."""
        return event.wait(max(timeout_ns, 0) / 1e9)
