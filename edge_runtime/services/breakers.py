"""Finding the row over which a broker ends the connection, instead of refusing it.

Mosquitto does that with a message beyond its `message_size_limit`. All rows in flight come back, and would be sent
again together for ever: so after a few such losses they go one at a time, until the one is found that is always alone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

LOSSES = 3
"""So many connections in a row, lost with the same first row in flight, are no accident."""
CAREFUL_ROWS = 100
"""So many are then sent one at a time."""
REASON = "the broker ends the connection over it"


class Breakers:
    """Used by the publish thread."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._losses = 0
        self._alone: Counter[int] = Counter()
        self._careful = 0

    @property
    def is_careful(self) -> bool:
        """Rows are to be sent one at a time."""
        return self._careful > 0

    def accepted(self, sequence: int) -> None:
        """The broker took this row."""
        self._careful = max(0, self._careful - 1)
        del self._alone[sequence]

    def lost(self, sequences: Collection[int]) -> int | None:
        """These were in flight when a connection was lost; the row that is to blame, once that is clear."""
        first = min(sequences)
        self._losses = self._losses + 1 if first == self._first else 1
        self._first = first
        if self._losses >= LOSSES:
            self._careful = CAREFUL_ROWS
        if len(sequences) > 1 or not self.is_careful:
            return None
        self._alone[first] += 1
        if self._alone[first] < LOSSES:
            return None
        del self._alone[first]
        return first
