"""The unit's list of system calls, enforced by the kernel on a real daemon: as tight as it runs."""

from __future__ import annotations

import ctypes.util
import http.client
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

UNIT = REPOSITORY / "systemd" / "edge-runtime.service"
UNDER_FILTER = [sys.executable, str(REPOSITORY / "tests" / "seccomp_exec.py")]


def members(group: str) -> set[str]:
    """The system calls of one of systemd's groups, those of the groups in it included."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    names = [line.strip() for line in told.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {name for name in names if not name.startswith("@")}.union(*(members(n) for n in names if n.startswith("@")))


def allowed() -> set[str]:
    """What the unit's SystemCallFilter= lines leave, in their order."""
    found: set[str] = set()
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key != "SystemCallFilter":
            continue
        named = {
            call for word in value.removeprefix("~").split() for call in ([word] if word[0] != "@" else members(word))
        }
        found = found - named if value.startswith("~") else found | named
    return found


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> Path:
    """The allowed calls as a file."""
    if shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None:
        pytest.skip("systemd-analyze or libseccomp is not installed (apt install systemd libseccomp2)")
    path: Path = tmp_path_factory.mktemp("seccomp") / "names"
    path.write_text("\n".join(sorted(allowed())), encoding="ascii")
    return path


def test_the_daemon_runs_under_the_units_own_filter(tmp_path, names) -> None:
    """It starts, proves its model, judges, records, publishes to nobody, and stops cleanly."""
    port = free_port()
    config = tmp_path / "line.toml"
    config.write_text(
        f"""
        device = {{ name = "caged", state_dir = "{tmp_path / "state"}" }}
        bundle = {{ path = "{DEMO_BUNDLE}" }}
        camera = {{ kind = "sim" }}
        plc = {{ kind = "sim" }}
        mqtt = {{ port = {free_port()} }}
        simulation = {{ parts_per_s = 20, defect_rate = 0.5 }}
        ops = {{ metrics_port = {port} }}
        """,
        encoding="utf-8",
    )
    log = (tmp_path / "log").open("wb")
    command = [*UNDER_FILTER, str(names), sys.executable, "-m", "edge_runtime", "run", "-c", str(config)]
    daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _parts(port) > 20, "parts are judged", 60)
        evidence = tmp_path / "state" / "evidence"
        wait_until(lambda: any(evidence.rglob("*.jpg")), "a picture of a rejected part is kept", 60)
        daemon.terminate()
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait(10)
        log.close()


def test_a_candidate_may_stand_back_behind_the_line(names) -> None:
    """Its process gets the idle priority that it asks for."""
    asked = "from edge_runtime.app.shadow_process import lower_priority; print(lower_priority('idle'))"
    command = [*UNDER_FILTER, str(names), sys.executable, "-c", asked]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=REPOSITORY).stdout
    assert told == "idle\n"


def _parts(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return int(json.loads(connection.getresponse().read())["parts"])
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize(
    "forbidden",
    [
        "os.chown('.', 0, 0)",
        "os.sched_setparam(0, os.sched_param(0))",
        "os.setuid(1)",
        "os.chroot('.')",
        "os.setgroups([])",
    ],
)
def test_the_filter_does_refuse(names, forbidden) -> None:
    """What a daemon that was taken over would like to do: the check above can fail."""
    program = f"import os\ntry:\n    {forbidden}\nexcept PermissionError:\n    print('refused')"
    told = subprocess.run(
        [*UNDER_FILTER, str(names), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout == "refused\n"
