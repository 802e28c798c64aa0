from __future__ import annotations

import ctypes.util
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from delivery_rig import SignedLine, attached, ext4_image, require_loop_mounts, sign
from line_process import REPOSITORY

from edge_runtime.app.mounts import _FILE_SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

SYSTEMD = REPOSITORY / "systemd"
UNITS = ("edge-runtime-usb@.service", "edge-runtime-ota.service")
RULE = SYSTEMD / "udev" / "80-edge-runtime-usb.rules"
DROP_INS = ("gpu.conf",)
UNDER_FILTER = [sys.executable, str(REPOSITORY / "tests" / "seccomp_exec.py")]


def installed(folder: Path, name: str, drop_ins: tuple[str, ...]) -> Path:
    """The unit as on a device, for the stick sdb1, with a program that exists here in place of the installed one."""
    text = (SYSTEMD / name).read_text(encoding="utf-8")
    assert "=/opt/edge-runtime/bin/edge-runtime " in text
    place = folder / "etc" / "systemd" / "system"
    place.mkdir(parents=True)
    unit = place / name.replace("@.", "@sdb1.")
    unit.write_text(text.replace("=/opt/edge-runtime/bin/edge-runtime ", "=/bin/true "), encoding="utf-8")
    for drop_in in drop_ins:
        target = place / f"{unit.name}.d" / drop_in
        target.parent.mkdir(exist_ok=True)
        shutil.copy(SYSTEMD / "drop-ins" / drop_in, target)
    return unit


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("drop_ins", [(), DROP_INS], ids=["alone", "gpu"])
def test_systemd_finds_nothing_to_complain_about(tmp_path, analyze, name, drop_ins) -> None:
    """Verify exits 0 even on unknown keys, so any word on stderr is a failure."""
    unit = installed(tmp_path, name, drop_ins)
    result = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stderr, result.returncode) == ("", 0)


@pytest.mark.parametrize(("name", "largest"), [(UNITS[0], 2.1), (UNITS[1], 1.2)])
def test_the_units_are_barely_exposed(tmp_path, analyze, name, largest) -> None:
    """From 0 (sealed) to 10. The one for sticks has to mount, as root; nothing else of what root may is left to it."""
    unit = installed(tmp_path, name, ())
    command = [analyze, "security", "--offline=true", f"--root={tmp_path}", "--no-pager", unit.name]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)
    assert found is not None
    assert float(found[1]) <= largest


def test_the_rule_starts_the_unit_for_what_can_be_mounted_and_nothing_else() -> None:
    """The file systems of the rule are those of the mounter; the rule runs no program of its own."""
    lines = [line for line in RULE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    listed = re.search(r'ID_FS_TYPE\}!="([^"]+)"', "\n".join(lines))
    assert listed is not None
    assert set(listed[1].split("|")) == set(_FILE_SYSTEMS)
    assert any('SYSTEMD_WANTS}+="edge-runtime-usb@%k.service"' in line for line in lines)
    assert not any(word in line for line in lines for word in ("RUN", "PROGRAM", "IMPORT"))


def members(group: str) -> set[str]:
    """The system calls of one of systemd's groups, those of the groups in it included."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    names = [line.strip() for line in told.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {name for name in names if not name.startswith("@")}.union(*(members(n) for n in names if n.startswith("@")))


@pytest.fixture
def names(tmp_path) -> Path:
    """The calls that the unit for sticks allows, as a file."""
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed (apt install libseccomp2)")
    found: set[str] = set()
    for line in (SYSTEMD / UNITS[0]).read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "SystemCallFilter":
            words = value.removeprefix("~").split()
            named = {call for word in words for call in (members(word) if word[0] == "@" else [word])}
            found = found - named if value.startswith("~") else found | named
    path = tmp_path / "names"
    path.write_text("\n".join(sorted(found)), encoding="ascii")
    return path


def test_a_stick_is_taken_in_under_the_units_own_filter(tmp_path, analyze, names) -> None:
    """Mount, another user, self-test on the engine, report: with no other system call than the unit allows."""
    require_loop_mounts()
    line = SignedLine(tmp_path, "updates = { usb = { takeover_wait_s = 0 }, disk_reserve_mb = 0 }\ncamera.kind = 'sim'")
    sign(line.bench, "1.0")
    stick = line.stick("stick")
    options = ["--config", line.config, "--user", "root"]
    with attached(ext4_image(stick, tmp_path / "stick.img")) as block:
        told = subprocess.run(
            [*UNDER_FILTER, names, sys.executable, "-m", "edge_runtime", "updates", "usb", block, *options],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert "TAKEN" in told.stdout, told.stdout + told.stderr
    assert "(report.txt is on the stick)" in told.stdout
