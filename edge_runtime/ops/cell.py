"""The latest-value cell: one writer keeps the newest, a reader takes it; what was not taken is overwritten."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestValue(Generic[T]):
    """Holds the newest value; older ones are dropped and counted. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self._overwritten = 0

    def put(self, value: T) -> None:
        """Replace whatever is there."""
        with self._changed:
            if self._value is not None:
                self._overwritten += 1
            self._value = value
            self._changed.notify_all()

    def take(self, timeout_s: float) -> T | None:
        """Remove and return the newest value; None if none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._value is not None, timeout_s)
            value, self._value = self._value, None
            return value

    def peek(self) -> T | None:
        """The newest value, left in place."""
        with self._changed:
            return self._value

    @property
    def overwritten(self) -> int:
        """How many values nobody took."""
        with self._changed:
            return self._overwritten
