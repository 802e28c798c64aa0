from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from line_process import REPOSITORY, wait_until


def _command(tmp_path, *options: str) -> list[str]:
    json_path = str(tmp_path / "account.json")
    work = str(tmp_path / "work")
    return [sys.executable, "-m", "edge_runtime", "soak", "--json", json_path, "--work", work, *options]


def test_a_soak_of_some_seconds_agrees_in_all_its_books(tmp_path, mosquitto) -> None:
    """The real daemon, PLC, broker and belt: triggers = ledger = subscriber, no bad part past the gate, exit 0."""
    done = subprocess.run(
        _command(tmp_path, "--minutes", "0.07", "--parts-per-s", "8"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "account.json").read_text())
    books = found["books"]
    assert books["triggers"] == books["ledger"] == books["subscriber"] == books["gate_parts"] > 25
    assert books["bad_passed"] == 0
    assert found["findings"] == []
    assert "PASSED" in done.stdout


def test_ctrl_c_ends_a_soak_with_its_account(tmp_path, mosquitto) -> None:
    """Eight hours are asked for; after the first sample SIGINT: the account comes, the books agree."""
    running = subprocess.Popen(
        _command(tmp_path, "--hours", "8", "--parts-per-s", "5"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "200"},
        text=True,
    )
    taken = tmp_path / "work" / "state" / "ledger.sqlite"
    folder = tmp_path / "work" / "in"
    wait_until(lambda: taken.exists() and any(folder.iterdir()), "the belt runs", 60)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, out + err
    assert "PASSED" in out
    assert not list(folder.glob("*.png"))
