"""What became of the rows that were handed to the broker: on their way, acknowledged, settled."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SETTLE_NS = 2_000_000_000
"""Mosquitto sends the PUBACK before it saves its queue, even with `autosave_interval 1`; killed in between, it has lost
what it acknowledged (seen in 4 of 6 runs with four kills each). Rows whose PUBACK is younger than this when the
connection breaks are sent again; the subscriber drops what it has already seen."""


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    sequence: int
    acknowledged_ns: int
    connection: int
    """Number of the connection on which the PUBACK came."""


class Deliveries:
    """Used by the publish thread alone; `unmarked` is readable from any."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self.in_flight: set[int] = set()
        """Sent, and not answered yet."""
        self._settling: deque[_Acknowledged] = deque()
        self.settled: list[int] = []
        """Their PUBACK has outlived the broker's memory: they may be marked."""

    @property
    def unmarked(self) -> int:
        """Acknowledged, and still undelivered as far as the outbox knows."""
        return len(self._settling) + len(self.settled)

    def is_known(self, sequence: int) -> bool:
        """Whether it was sent and needs not be sent again."""
        return sequence in self._known

    def sent(self, sequence: int) -> None:
        """It is on its way."""
        self._known.add(sequence)
        self.in_flight.add(sequence)

    def returned(self, sequence: int) -> None:
        """It was refused, or lost with its connection."""
        self._known.discard(sequence)
        self.in_flight.discard(sequence)

    def acknowledged(self, sequence: int, now_ns: int, connection: int) -> None:
        """Its PUBACK came on this connection."""
        self._known.add(sequence)
        self.in_flight.discard(sequence)
        self._settling.append(_Acknowledged(sequence, now_ns, connection))

    def settle(self, now_ns: int, connection: int | None) -> list[int]:
        """Settle what is old enough.

        Args:
            now_ns: monotonic.
            connection: the present one; None: there is none.

        Returns:
            Rows that are to be sent again: acknowledged shortly before the connection broke.
        """
        again = []
        # First: where a disk kept this thread waiting, age alone would settle a row whose connection broke meanwhile.
        while self._settling and self._settling[0].connection != connection:  # PUBACKs come in order of connections
            again.append(self._settling.popleft().sequence)
        self._known.difference_update(again)
        while self._settling and now_ns - self._settling[0].acknowledged_ns >= SETTLE_NS:
            self.settled.append(self._settling.popleft().sequence)
        return again

    def settle_all(self) -> None:
        """A clean end: nobody is going to lose his memory now."""
        self.settled += [row.sequence for row in self._settling]
        self._settling.clear()

    def marked(self) -> None:
        """The outbox knows of the settled ones."""
        self._known.difference_update(self.settled)
        self.settled = []
