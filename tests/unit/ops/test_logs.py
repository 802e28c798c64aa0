from __future__ import annotations

import io
import json
import logging
import os
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from edge_runtime.ops import logs as logs_module
from edge_runtime.ops.logs import JournalFormatter, Logging, goes_to_journal

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("edge_runtime.test")


def test_each_entry_is_one_json_object_on_one_line() -> None:
    """Message, level, time, what `extra=` brought and the traceback; nothing in it breaks the line or the JSON."""
    stream = io.StringIO()
    output = Logging("info", stream, {})
    LOG.debug("not shown")
    LOG.warning("part %s\nlost", "a/7", extra={"part_id": "a/7", "score": float("nan"), "path": threading, "n": 3})
    try:
        int("disk\nfull")
    except ValueError:
        LOG.exception("cannot write")
    output.close()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "part a/7\nlost"
    assert (first["level"], first["logger"], first["part_id"], first["n"]) == ("warning", LOG.name, "a/7", 3)
    assert first["score"] == "nan"
    assert first["time"].endswith("+00:00")
    assert "ValueError: invalid literal for int" in second["exception"]


def test_an_argument_that_changes_later_is_logged_as_it_was() -> None:
    """The text is made when the entry is logged, not when the thread gets to it."""
    stream = io.StringIO()
    output = Logging("info", stream, {})
    changing = ["before"]
    LOG.info("list %s", changing)
    changing[0] = "after"
    output.close()
    assert json.loads(stream.getvalue())["message"] == "list ['before']"


def test_where_there_are_several_lines_the_entry_says_whose_it_is() -> None:
    """By the thread that spoke: `exit/inspect`."""
    stream = io.StringIO()
    output = Logging("info", stream, {})
    speaking = threading.Thread(target=LOG.info, args=("slow",), name="exit/inspect")
    speaking.start()
    speaking.join()
    LOG.info("alone")
    output.close()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["line"] == "exit"
    assert "line" not in second


def test_journald_gets_a_priority_before_every_line() -> None:
    """Also before the lines of a traceback: each becomes an entry of the same priority."""
    try:
        int("bad")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "broken", None, (type(error), error, error.__traceback__))
    record.part_id = "a/7"
    lines = JournalFormatter().format(record).splitlines()
    assert lines[0] == "<3>x: broken part_id=a/7"
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize(
    ("level", "prefix"),
    [(logging.DEBUG, "<7>"), (logging.INFO, "<6>"), (logging.WARNING, "<4>"), (logging.CRITICAL, "<2>")],
)
def test_levels_become_syslog_priorities(level: int, prefix: str) -> None:
    """As sd-daemon(3) numbers them."""
    assert JournalFormatter().format(logging.LogRecord("x", level, "", 0, "m", None, None)) == f"{prefix}x: m"


def test_the_journal_format_is_used_only_where_journald_really_listens(tmp_path: Path) -> None:
    """JOURNAL_STREAM is inherited by shells and pipes; only its device and inode say whether this stream is it."""
    with (tmp_path / "stream").open("w+") as stream:
        status = os.fstat(stream.fileno())
        ours = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert goes_to_journal(stream, ours)
        assert not goes_to_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not goes_to_journal(stream, {})
        assert not goes_to_journal(stream, {"JOURNAL_STREAM": "nonsense"})
        assert not goes_to_journal(io.StringIO(), ours)
        output = Logging("info", stream, ours)
        LOG.info("hello")
        output.close()
        stream.seek(0)
        assert stream.read() == f"<6>{LOG.name}: hello\n"


class _BlockedStream(io.StringIO):
    """A journal that does not read, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.let_go.wait(10)
        return super().write(text)


def test_a_blocked_journal_never_blocks_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log calls return at once, what does not fit is dropped, and the log says how much as soon as it can."""
    monkeypatch.setattr(logs_module, "_QUEUE_LENGTH", 10)
    stream = _BlockedStream()
    output = Logging("info", stream, {})
    LOG.info("first")
    assert stream.reached.wait(60)
    for number in range(30):  # returns although nobody reads
        LOG.info("entry %d", number)
    assert output.dropped == 20
    stream.let_go.set()
    output.close()
    messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert [message for message in messages if message.startswith("entry")] == [f"entry {n}" for n in range(10)]
    assert "20 log entries were dropped: the log output is blocked" in messages


def test_closing_restores_logging_and_ends_the_thread() -> None:
    """Nothing of ours stays behind; closing twice is fine. Python's own warnings were logged meanwhile."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    stream = io.StringIO()
    output = Logging("debug", stream, {})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", stacklevel=1)
    output.close()
    output.close()
    assert (root.level, root.handlers) == before
    assert "old thing" in stream.getvalue()
    assert not [thread for thread in threading.enumerate() if thread.name == "logs"]
