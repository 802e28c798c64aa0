from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

from line_process import REPOSITORY, wait_until


def _command(tmp_path, *options: str) -> list[str]:
    json_path = str(tmp_path / "account.json")
    work = str(tmp_path / "work")
    return [sys.executable, "-m", "edge_runtime", "soak", "--json", json_path, "--work", work, *options]


def test_ctrl_c_ends_a_soak_with_its_account_and_the_books_agree(tmp_path, mosquitto) -> None:
    """Eight hours asked for, SIGINT comes soon: triggers = ledger = subscriber, no bad part past the gate, exit 0."""
    running = subprocess.Popen(
        _command(tmp_path, "--hours", "8", "--parts-per-s", "8"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ledger, folder = tmp_path / "work" / "state" / "ledger.sqlite", tmp_path / "work" / "in"
    wait_until(lambda: ledger.exists() and _verdicts(ledger) > 10, "verdicts in the ledger", 60)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, out + err
    found = json.loads((tmp_path / "account.json").read_text())
    books = found["books"]
    assert books["triggers"] == books["ledger"] == books["subscriber"] == books["gate_parts"] > 10
    assert books["bad_passed"] == 0
    assert found["findings"] == []
    assert not list(folder.glob("*.png"))
    assert "PASSED" in out


def _verdicts(ledger) -> int:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM records WHERE channel = 'inspection'").fetchone()[0])
