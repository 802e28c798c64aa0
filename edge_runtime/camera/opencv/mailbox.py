"""Between the reading thread and the line: only the newest picture, or each one in turn."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_runtime.ops.cell import LatestValue

if TYPE_CHECKING:
    import threading

    from edge_runtime.domain.frame import Exposure

_WAITING_PICTURES = 2
_PUT_TIMEOUT_S = 0.05


@dataclass(frozen=True, slots=True)
class Picture:
    """What the reading thread hands over."""

    exposure: Exposure
    read_ns: int
    frozen: bool


class Mailbox(Protocol):
    """One writer, one reader."""

    def put(self, picture: Picture, stopping: threading.Event) -> None:
        """Hand over; may wait for room until `stopping` is set."""

    def take(self, timeout_s: float) -> Picture | None:
        """The next picture; None if none came in time."""

    def is_empty(self) -> bool:
        """Whether nothing waits."""

    @property
    def dropped(self) -> int:
        """Pictures that nobody took."""


class NewestPicture:
    """Keeps the newest picture: a live camera is never behind."""

    def __init__(self) -> None:
        self._cell: LatestValue[Picture] = LatestValue()

    def put(self, picture: Picture, stopping: threading.Event) -> None:  # noqa: ARG002  (never waits)
        """See `Mailbox`."""
        self._cell.put(picture)

    def take(self, timeout_s: float) -> Picture | None:
        """See `Mailbox`."""
        return self._cell.take(timeout_s)

    def is_empty(self) -> bool:
        """See `Mailbox`."""
        return self._cell.peek() is None

    @property
    def dropped(self) -> int:
        """See `Mailbox`."""
        return self._cell.overwritten


class EachPicture:
    """Keeps the order and loses nothing: the file waits."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Picture] = queue.Queue(_WAITING_PICTURES)

    def put(self, picture: Picture, stopping: threading.Event) -> None:
        """See `Mailbox`."""
        while not stopping.is_set():
            try:
                self._queue.put(picture, timeout=_PUT_TIMEOUT_S)
            except queue.Full:
                continue
            return

    def take(self, timeout_s: float) -> Picture | None:
        """See `Mailbox`."""
        try:
            return self._queue.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None

    def is_empty(self) -> bool:
        """See `Mailbox`."""
        return self._queue.empty()

    @property
    def dropped(self) -> int:
        """See `Mailbox`."""
        return 0
