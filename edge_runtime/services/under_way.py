"""The inspections of a line that have begun and not ended, where several run side by side."""

from __future__ import annotations

import threading


class UnderWay:
    """Thread-safe. A place is that of a thread that looks at parts."""

    def __init__(self, places: int) -> None:
        """Nobody looks."""
        self._places = places
        self._began_ns: dict[int, int] = {}
        self._changed = threading.Condition()

    def begin(self, place: int, now_ns: int) -> None:
        """This one looks at a part."""
        with self._changed:
            self._began_ns[place] = now_ns

    def end(self, place: int) -> None:
        """It does no more."""
        with self._changed:
            self._began_ns.pop(place, None)
            self._changed.notify_all()

    def is_none(self, timeout_s: float) -> bool:
        """Whether nobody looks; waits so long for it."""
        with self._changed:
            return not self._began_ns or self._changed.wait_for(lambda: not self._began_ns, timeout_s)

    def others_free_ns(self, now_ns: int, duration_ns: int) -> list[int]:
        """When each of the others, for one that does not look, is expected to have room for another part.

        Args:
            now_ns: monotonic. Those that do not look have room now.
            duration_ns: what an inspection is expected to take. One that has taken longer may take as long again.
        """
        with self._changed:
            began_ns = list(self._began_ns.values())
        ends_ns = [began + duration_ns if began + duration_ns > now_ns else now_ns + duration_ns for began in began_ns]
        return ends_ns + [now_ns] * (self._places - 1 - len(ends_ns))
