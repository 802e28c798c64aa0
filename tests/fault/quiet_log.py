"""The product's log during a simulated run."""

from __future__ import annotations

import logging


class QuietLog(logging.Handler):
    """The product's log, kept out of the way but for the changes of state."""

    def __enter__(self) -> list[str]:
        self.lines: list[str] = []
        self._log = logging.getLogger("edge_runtime")
        self._before = self._log.level, self._log.propagate
        self._log.addHandler(self)
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        return self.lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what tells of the line's state, and every traceback."""
        text = record.getMessage()
        if text.startswith(("state_changed", "stage ")):
            failure = "" if record.exc_info is None else f" ({record.exc_info[1]!r})"
            self.lines.append(text + failure)

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.setLevel(self._before[0])
        self._log.propagate = self._before[1]
