from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "edge-runtime.service"
DROP_INS = sorted((SYSTEMD / "drop-ins").glob("*.conf"))
INSTALLED = {"/opt/edge-runtime/bin/edge-runtime": "/bin/true", "/bin/kill": "/bin/true"}
LARGEST_EXPOSURE = 2.0


def installed(folder: Path, drop_ins: list[Path]) -> Path:
    """The unit as on a device, with programs that exist here in place of the installed ones."""
    text = UNIT.read_text(encoding="utf-8")
    for program, stand_in in INSTALLED.items():
        assert f"={program} " in text
        text = text.replace(f"={program} ", f"={stand_in} ")
    unit = folder / "etc" / "systemd" / "system" / UNIT.name
    unit.parent.mkdir(parents=True)
    unit.write_text(text, encoding="utf-8")
    for drop_in in drop_ins:
        target = unit.parent / f"{UNIT.name}.d" / drop_in.name
        target.parent.mkdir(exist_ok=True)
        text = drop_in.read_text(encoding="utf-8")
        for program, stand_in in INSTALLED.items():
            text = text.replace(f"={program} ", f"={stand_in} ")
        target.write_text(text, encoding="utf-8")
    return unit


@pytest.mark.parametrize(
    "drop_ins",
    [[], *([drop_in] for drop_in in DROP_INS), DROP_INS],
    ids=lambda p: "+".join(q.stem for q in p) or "alone",
)
def test_systemd_finds_nothing_to_complain_about(tmp_path: Path, analyze: str, drop_ins: list[Path]) -> None:
    """Verify exits 0 even on unknown keys, so any word on stderr is a failure; with each drop-in and with all."""
    unit = installed(tmp_path, drop_ins)
    result = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("drop_ins", "largest"), [([], 1.2), (DROP_INS, LARGEST_EXPOSURE)], ids=["alone", "with every drop-in"]
)
def test_the_daemon_is_barely_exposed(tmp_path: Path, analyze: str, drop_ins: list[Path], largest: float) -> None:
    """The figure of systemd-analyze, from 0 (sealed) to 10; also when the line needs every kind of device."""
    installed(tmp_path, drop_ins)
    command = [analyze, "security", "--offline=true", f"--root={tmp_path}", "--no-pager", UNIT.name]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)
    assert found is not None
    assert float(found[1]) <= largest


def test_a_mistake_in_the_unit_would_be_noticed(tmp_path: Path, analyze: str) -> None:
    """The check above can fail: a key that systemd does not know is reported on stderr."""
    unit = installed(tmp_path, [])
    unit.write_text(unit.read_text(encoding="utf-8").replace("[Install]", "Bogus=1\n[Install]"), encoding="utf-8")
    result = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert "Bogus" in result.stderr


def test_engines_may_generate_code() -> None:
    """MemoryDenyWriteExecute= would break the first inference, long after the unit has started."""
    settings = [
        line for path in (UNIT, *DROP_INS) for line in path.read_text().splitlines() if not line.startswith("#")
    ]
    assert not [line for line in settings if line.startswith(("MemoryDenyWriteExecute", "ProcSubset=pid"))]


def test_the_user_of_the_unit_is_created(tmp_path: Path) -> None:
    """sysusers.d makes exactly the user and group under which the unit runs."""
    program = shutil.which("systemd-sysusers")
    if program is None:
        pytest.skip("systemd-sysusers is not installed (apt install systemd)")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").touch()
    (tmp_path / "etc" / "group").touch()
    subprocess.run(
        [program, f"--root={tmp_path}", "--inline", (SYSTEMD / "sysusers.d" / "edge-runtime.conf").read_text().strip()],
        check=True,
        timeout=60,
        capture_output=True,
    )
    assert (tmp_path / "etc" / "passwd").read_text().startswith("edge-runtime:")
    assert (tmp_path / "etc" / "group").read_text().startswith("edge-runtime:")
    unit = UNIT.read_text()
    assert "\nUser=edge-runtime\nGroup=edge-runtime\n" in unit
