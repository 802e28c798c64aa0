"""Bounded queues between the stages: a named overflow policy and a drop counter. The only locks of the shell."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Picked(Generic[T]):
    """What `BoundedQueue.pick` took off the queue."""

    item: T | None
    given_up: tuple[T, ...]


class BoundedQueue(Generic[T]):
    """First in, first out, never more than `capacity` items. Thread-safe.

    The policy on overflow is the producer's choice of method: `offer` keeps the newest and hands back what it
    displaced, `put` waits, `try_put` refuses. Where nothing may be dropped at all: `Handover`.
    """

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._dropped = 0

    def offer(self, item: T) -> T | None:
        """Put; when full, the oldest item makes room and is returned (and counted)."""
        with self._changed:
            displaced = self._items.popleft() if len(self._items) >= self.capacity else None
            if displaced is not None:
                self._dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return displaced

    def try_put(self, item: T, leave: int = 0) -> bool:
        """Put if there is room; otherwise count the drop and return false.

        Args:
            item: what to put.
            leave: so many places are left free for what matters more.
        """
        with self._changed:
            if len(self._items) + leave >= self.capacity:
                self._dropped += 1
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def put(self, item: T, timeout_s: float, *, quietly: bool = False) -> bool:
        """Put as soon as there is room; false, and nothing counted, if there was none in time.

        Args:
            item: what to put.
            timeout_s: how long to wait for room.
            quietly: wakes nobody; the consumer finds it when it next looks.
        """
        with self._changed:
            if not self._wait_for(lambda: len(self._items) < self.capacity, timeout_s):
                return False
            self._items.append(item)
            if not quietly:
                self._changed.notify_all()
            return True

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until `put` would not overflow. With a single producer the room stays."""
        with self._changed:
            return self._wait_for(lambda: len(self._items) < self.capacity, timeout_s)

    def get(self, timeout_s: float) -> T | None:
        """The oldest item, or None if none came in time."""
        with self._changed:
            if not self._wait_for(lambda: bool(self._items), timeout_s):
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def waiting(self, timeout_s: float) -> tuple[T, ...]:
        """What waits, oldest first, and stays; waits for the first item. With a single consumer it is there later."""
        with self._changed:
            self._wait_for(lambda: bool(self._items), timeout_s)
            return tuple(self._items)

    def pick(self, choose: Callable[[Sequence[T]], tuple[int | None, Sequence[int]]], timeout_s: float) -> Picked[T]:
        """Wait for an item, then let `choose` say which one to take and which ones to give up.

        Args:
            choose: gets what waits, oldest first; answers with positions in it. Must be quick.
            timeout_s: how long to wait for the first item.
        """
        with self._changed:
            if not self._wait_for(lambda: bool(self._items), timeout_s):
                return Picked(None, ())
            waiting = tuple(self._items)
            taken, given_up = choose(waiting)
            gone = {*given_up} if taken is None else {taken, *given_up}
            self._items = deque(item for place, item in enumerate(waiting) if place not in gone)
            self._dropped += len(given_up)
            self._changed.notify_all()
            return Picked(None if taken is None else waiting[taken], tuple(waiting[place] for place in given_up))

    def get_batch(self, most: int, timeout_s: float, gather_s: float) -> list[T]:
        """Up to `most` items: waits `timeout_s` for the first, then `gather_s` for others to share its commit."""
        with self._changed:
            if not self._wait_for(lambda: bool(self._items), timeout_s):
                return []
            until = time.monotonic() + gather_s
            while len(self._items) < most and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            batch = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            return batch

    def clear(self) -> None:
        """Give up everything that waits, and count it as dropped."""
        with self._changed:
            self._dropped += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    @property
    def dropped(self) -> int:
        """How many items were displaced or refused."""
        with self._changed:
            return self._dropped

    def _wait_for(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """`Condition.wait_for` makes and drops a lock even where it need not wait, and this is asked for every part."""
        return holds() or (timeout_s > 0 and self._changed.wait_for(holds, timeout_s))


class Handover(Generic[T]):
    """Puts items into a queue in order and drops none: what finds no room is owed, and goes first. Thread-safe."""

    def __init__(self, queue: BoundedQueue[T]) -> None:
        self._queue = queue
        self._owed: deque[T] = deque()
        self._sending = threading.Lock()

    def send(self, item: T, *, quietly: bool = False) -> None:
        """Put it now or owe it; waits for nothing but another thread's `flush`. `quietly` as in `BoundedQueue.put`."""
        with self._sending:
            if quietly and not self._owed and self._queue.put(item, 0, quietly=True):
                return
            self._owed.append(item)
            self._put_owed(0)

    def flush(self, timeout_s: float) -> bool:
        """Put what is owed, waiting at most so long for room; true if nothing is owed any more."""
        with self._sending:
            return self._put_owed(timeout_s)

    def _put_owed(self, timeout_s: float) -> bool:
        while self._owed and self._queue.put(self._owed[0], timeout_s):
            self._owed.popleft()
        return not self._owed


class Allowance:
    """Lets so many through per interval and counts the rest, each kind by itself. Thread-safe."""

    def __init__(self, most: int, interval_ns: int) -> None:
        self._most = most
        self._interval_ns = interval_ns
        self._lock = threading.Lock()
        self._spent: dict[str, tuple[int, int]] = {}
        """Kind → (when its interval began, how many came since)."""

    def ask(self, kind: str, now_ns: int) -> int | None:
        """None: not now. Otherwise it may go, and so many of its kind were held back in the interval before."""
        with self._lock:
            began_ns, count = self._spent.get(kind, (now_ns, 0))
            held_back = 0
            if now_ns - began_ns >= self._interval_ns:
                began_ns, held_back, count = now_ns, max(0, count - self._most), 0
            self._spent[kind] = (began_ns, count + 1)
            return held_back if count < self._most else None
