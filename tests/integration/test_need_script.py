from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEED = Path(__file__).parents[2] / "tools" / "need.sh"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH on which only `id`, `git` and `make` are to be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "id").symlink_to(str(shutil.which("id")))
    for name in ("git", "make"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def need(path: Path, *arguments: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script with this PATH."""
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"PATH": str(path)}
    if ci:
        environment["CI"] = ci
    command = ["/bin/sh", str(NEED), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


def python_stand_in(folder: Path, *, version_ok: bool, venv_ok: bool) -> str:
    """A Python that answers the script's questions as told."""
    program = folder / "python-x"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"*version_info\\ \\<*) exit {0 if version_ok else 1} ;;\n"
        f"*ensurepip*) exit {0 if venv_ok else 1} ;;\n"
        "*--version*) echo Python 3.9.2 ;;\n"
        "*) echo python3.12-venv ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    return str(program)


def test_a_complete_computer_hears_nothing(programs: Path) -> None:
    """No output, exit code 0."""
    result = need(programs, sys.executable)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_is_missing_is_named_with_the_command_that_installs_it(programs: Path) -> None:
    """One command line, to be copied as it is."""
    (programs / "git").unlink()
    result = need(programs, "python3")
    assert result.returncode == 1
    assert "missing: git" in result.stderr
    assert "missing: python3" in result.stderr
    assert "apt-get install -y --no-install-recommends git python3 python3-venv" in result.stderr


def test_a_python_without_venv_gets_the_package_of_its_own_version(programs: Path) -> None:
    """Debian splits it off, one package for each minor version."""
    result = need(programs, python_stand_in(programs, version_ok=True, venv_ok=False))
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("python3.12-venv")


def test_an_old_python_is_refused_and_a_newer_one_pointed_out(programs: Path) -> None:
    """Ubuntu 22.04 has 3.10; if a newer one is installed beside it, nothing needs installing."""
    old = python_stand_in(programs, version_ok=False, venv_ok=True)
    assert "too old: Python 3.9.2" in need(programs, old).stderr
    (programs / "python3.12").symlink_to(old)
    result = need(programs, old)
    assert result.returncode == 1
    assert "make PYTHON=python3.12 install" in result.stderr


def test_missing_test_servers_are_named_and_only_ci_insists(programs: Path) -> None:
    """A developer's tests skip with a reason; in CI nothing may skip for want of a package."""
    result = need(programs, sys.executable, "no_such_server", "systemd-analyze-x")
    assert result.returncode == 0
    assert "missing for tests: no_such_server" in result.stderr
    assert "skip" in result.stderr
    assert need(programs, sys.executable, "no_such_server", ci="true").returncode == 1


def test_the_list_for_scripts_is_packages_and_nothing_else(programs: Path) -> None:
    """What `.ci/run` installs; an empty line where nothing is missing."""
    assert need(programs, "--packages", "no-python", "no_such").stdout == "python3 python3-venv no_such\n"
    complete = need(programs, "--packages", sys.executable)
    assert (complete.stdout, complete.stderr, complete.returncode) == ("\n", "", 0)
