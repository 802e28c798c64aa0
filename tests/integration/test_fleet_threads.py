"""Two lines in this process, with all that starts threads of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from line_process import REPOSITORY, free_port

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.running import LineSource
from edge_runtime.config.load import load_config
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

LINE = """
device = {{ name = "{name}", state_dir = "{name}" }}
bundle = {{ path = "{bundle}" }}
camera = {{ kind = "folder", path = "{name}-images" }}
engine = {{ threads = 1 }}
mqtt = {{ port = {closed} }}
plc = {{ kind = "sim" }}
ops = {{ metrics_port = 0, drain_timeout_s = 1 }}
recipe = {{ gate = "permit", reject = {{ delay_ms = 900 }} }}
"""


def source(folder: Path, name: str) -> LineSource:
    """A line."""
    (folder / f"{name}-images").mkdir()
    path = folder / f"{name}.toml"
    bundle = REPOSITORY / "models" / "demo_fast.bundle"
    path.write_text(LINE.format(name=name, bundle=bundle, closed=free_port()), encoding="utf-8")
    return LineSource(load_config(path), lambda: load_config(path))


def test_every_thread_carries_the_name_of_its_line(tmp_path: Path) -> None:
    """Log entries have it from there: whose broker cannot be reached, whose camera is gone."""
    before, seen = set(threading.enumerate()), set[str]()
    mine = threading.current_thread().name
    first, second = source(tmp_path, "exit"), source(tmp_path, "entry")
    daemon = Daemon(first.config, first.reload, SystemClock(), others=[second])
    assert threading.current_thread().name == mine

    def on_tick() -> None:
        seen.update(thread.name for thread in threading.enumerate() if thread not in before)
        if {"exit/mqtt", "entry/mqtt", "mqtt"} & seen and any("capture" in name for name in seen):
            daemon.request_stop()

    daemon.run(on_tick)
    seen = {name for name in seen if not name.startswith("Thread-")}  # a library's, which logs nothing
    assert {name.partition("/")[0] for name in seen} == {"exit", "entry"}
    assert {name.partition("/")[2] for name in seen} >= {"mqtt", "local-server", "folder-folder", "inspect"}
