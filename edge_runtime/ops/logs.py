"""Structured logs: one JSON object per line, or journald's priority prefixes; written by a thread of their own.

A blocked journal or terminal must not hold up the part that is being inspected: log calls only queue, and what does
not fit is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUEUE_LENGTH = 2_000
_CLOSE_TIMEOUT_S = 2.0
_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7


class JsonFormatter(logging.Formatter):
    """`{"time": …, "level": …, "logger": …, "message": …}` and whatever `extra=` brought, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: _plain(value) for name, value in _extra(record).items()}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class JournalFormatter(logging.Formatter):
    """`<priority>logger: message key=value`, as sd-daemon(3) defines; each line of a traceback has its prefix too."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        text = f"{record.name}: {record.getMessage()}{extra}"
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG_PRIORITY)
        return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra=` brought; where there are several lines, first the one whose thread spoke."""
    line, slash, _ = (record.threadName or "").partition("/")
    extra = {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES}
    return {"line": line, **extra} if slash else extra


def _plain(value: Any) -> Any:
    """What JSON can say about a value: numbers stay numbers, NaN and everything else become text."""
    is_plain = value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and value - value == 0)
    return value if is_plain else str(value)


class Logging:
    """The running log output. One daemon thread, named `logs`.

    Args:
        level: "debug", "info", "warning" or "error".
        stream: usually `sys.stderr`.
        environment: where `JOURNAL_STREAM` says whether the stream goes to journald.
    """

    def __init__(self, level: str, stream: TextIO, environment: Mapping[str, str]) -> None:
        formatter = JournalFormatter() if goes_to_journal(stream, environment) else JsonFormatter()
        self._output = logging.StreamHandler(stream)
        self._output.setFormatter(formatter)
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(_QUEUE_LENGTH)
        self._entrance = _QueueingHandler(self._records)
        self._root = logging.getLogger()
        self._previous = (self._root.level, list(self._root.handlers))
        for handler in self._previous[1]:
            self._root.removeHandler(handler)
        self._root.addHandler(self._entrance)
        self.set_level(level)
        logging.captureWarnings(capture=True)
        self._thread = threading.Thread(target=self._write, name="logs", daemon=True)
        self._thread.start()

    def set_level(self, level: str) -> None:
        """Change the level of the running daemon."""
        self._root.setLevel(level.upper())

    @property
    def dropped(self) -> int:
        """Records that did not fit into the queue since the start."""
        return self._entrance.dropped

    def close(self) -> None:
        """Write what is queued (for a bounded time), end the thread, restore the previous handlers. Idempotent."""
        if self._entrance not in self._root.handlers:
            return
        self._root.removeHandler(self._entrance)
        logging.captureWarnings(capture=False)
        level, handlers = self._previous
        self._root.setLevel(level)
        for handler in handlers:
            self._root.addHandler(handler)
        try:
            self._records.put(None, timeout=_CLOSE_TIMEOUT_S)
        except queue.Full:
            return  # the stream is blocked; the thread is a daemon and ends with the process
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _write(self) -> None:
        told = 0
        while (record := self._records.get()) is not None:
            self._output.handle(record)
            if (dropped := self._entrance.dropped) > told:
                self._output.handle(_dropped_record(dropped - told))
                told = dropped


def _dropped_record(count: int) -> logging.LogRecord:
    return logging.LogRecord(
        __name__, logging.WARNING, __file__, 0, "%d log entries were dropped: the log output is blocked", (count,), None
    )


class _QueueingHandler(logging.Handler):
    """Queues records without ever waiting."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__()
        self._records = records
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`; the handler's own lock is held."""
        record.msg, record.args = record.getMessage(), None  # arguments may change before the thread writes them
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self.dropped += 1


def goes_to_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """True if `stream` is the very connection to journald that `JOURNAL_STREAM` (device:inode) names."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    if not (device.isdecimal() and inode.isdecimal()):
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file behind it
        return False
    return (status.st_dev, status.st_ino) == (int(device), int(inode))
