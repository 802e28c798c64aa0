"""SIGKILL in the middle of a trial, again and again: the next start finds it counted, and ends it after three."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from line_process import DaemonProcess, wait_until
from release_device import ReleaseDevice

from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
device = {{ name = "line", state_dir = "{state}" }}
bundle = {{ product = "part", trust = "production" }}
engine = {{ threads = 1 }}
camera = {{ kind = "sim", width_px = 320, height_px = 240 }}
simulation = {{ parts_per_s = 20, dropped_trigger_rate = 0.0 }}
plc = {{ kind = "sim" }}
recipe = {{ reject = {{ delay_ms = 800 }} }}
mqtt = {{ enabled = false }}
evidence = {{ enabled = false }}
ops = {{ metrics_port = false }}
"""


def newest_verdict(state: Path) -> dict[str, str]:
    """Which bundle decided last."""
    with sqlite3.connect(f"file:{state}/ledger.sqlite?mode=ro", uri=True) as ledger:
        query = "SELECT payload FROM records WHERE channel = 'inspection' ORDER BY sequence DESC LIMIT 1"
        row = ledger.execute(query).fetchone()
    return {} if row is None else json.loads(row[0])["bundle"]


def test_a_release_whose_daemon_is_killed_three_times_is_not_tried_a_fourth_time(tmp_path: Path) -> None:
    """Each attempt is in the books before the release decides; then the last-known-good one runs again."""
    device = ReleaseDevice(tmp_path / "device")
    good = device.confirmed("1")
    new = device.add("2")
    config = tmp_path / "line.toml"
    config.write_text(CONFIG.format(state=device.state_dir), encoding="utf-8")
    store = device.store()
    for attempt in (1, 2, 3):
        daemon = DaemonProcess(config, tmp_path / "log")
        try:
            daemon.wait_ready()
            wait_until(
                lambda: newest_verdict(device.state_dir).get("digest") == new.digest, "the release decides on trial"
            )
            found = store.find(new.digest)
            assert (found.state, found.attempts) == (UpdateState.TRIAL, attempt)
        finally:
            daemon.kill()
    daemon = DaemonProcess(config, tmp_path / "log")
    try:
        daemon.wait_ready()
        wait_until(
            lambda: newest_verdict(device.state_dir).get("digest") == good.digest, "the old release decides again"
        )
        found = store.find(new.digest)
        assert (found.state, "crash loop" in found.reason) == (UpdateState.ROLLED_BACK, True)
        assert daemon.terminate() == 0
    finally:
        daemon.close()
        store.close()
