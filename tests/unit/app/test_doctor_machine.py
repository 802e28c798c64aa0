from __future__ import annotations

import errno
import os
import tempfile
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from edge_runtime.app import doctor_machine
from edge_runtime.app.doctor import Finding, Probe, State, examine, probes
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def test_a_hanging_probe_is_left_behind() -> None:
    """A dead network share costs the technician the patience and no more; the probes after it still run."""
    let_go = threading.Event()

    def hang() -> Sequence[Finding]:
        let_go.wait(30)
        return []

    found = list(
        examine(
            [
                Probe("share", hang),
                Probe("engines", hang, late=State.WARNING),
                Probe("after", lambda: [Finding("after", State.OK, "fine")]),
            ],
            patience_s=0.05,
        )
    )
    let_go.set()
    assert [(finding.subject, finding.state) for finding in found] == [
        ("share", State.ERROR),
        ("engines", State.WARNING),
        ("after", State.OK),
    ]
    assert "hanging" in found[0].detail


def test_an_error_of_ours_and_an_unforeseen_one_become_findings() -> None:
    """A typed error brings its own advice; anything else hides nothing of what the other probes find."""

    def typed() -> Sequence[Finding]:
        raise BundleError("the bundle is cut off", "Copy it again.")

    def unforeseen() -> Sequence[Finding]:
        return [Finding("x", State("unheard of"), "")]

    first, second = examine([Probe("bundle", typed), Probe("x", unforeseen)])
    assert (first.state, first.detail, first.action) == (State.ERROR, "the bundle is cut off", "Copy it again.")
    assert second.state is State.ERROR
    assert "ValueError" in second.detail


def test_this_machine_can_be_examined() -> None:
    """Without a configuration: every general probe answers here, and Python and numpy are named."""
    found = list(examine(probes(None), patience_s=30))
    assert {"python", "packages", "processor", "memory", "clock", "engine"} <= {finding.subject for finding in found}
    assert any("numpy" in finding.detail for finding in found)
    assert all(finding.action for finding in found if finding.state is not State.OK)


@pytest.mark.parametrize(
    ("flags", "state", "words"),
    [
        ("flags : fpu avx2 avx512f avx512_vnni", State.OK, "AVX-512 VNNI"),
        ("Features : fp asimd asimddp", State.OK, "Arm dot product"),
        ("flags : fpu sse2 avx2", State.WARNING, "AVX2 without INT8"),
        ("Features : fp asimd", State.WARNING, "Arm NEON without INT8"),
        ("flags : fpu sse2", State.WARNING, "no known vector instructions"),
    ],
)
def test_the_processor_says_what_int8_gains(tmp_path: Path, flags: str, state: State, words: str) -> None:
    """From /proc/cpuinfo of x86 and Arm machines."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\n{flags}\n")
    [finding] = doctor_machine.processor(cpuinfo)
    assert finding.state is state
    assert words in finding.detail


@pytest.mark.parametrize(
    ("available_kb", "limit", "state"),
    [(2_000_000, "max\n", State.OK), (300_000, "max\n", State.WARNING), (2_000_000, f"{200 << 20}\n", State.WARNING)],
)
def test_memory_counts_the_containers_limit(tmp_path: Path, available_kb: int, limit: str, state: State) -> None:
    """A roomy machine does not help a small container."""
    meminfo, maximum = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text(f"MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable: {available_kb} kB\n")
    maximum.write_text(limit)
    [finding] = doctor_machine.memory(meminfo, maximum)
    assert finding.state is state


def _timedatectl(folder: Path, answer: str) -> str:
    program = folder / "timedatectl"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("year", "answer", "state", "words"),
    [
        (1970, "echo yes", State.ERROR, "earlier than this software was built"),
        (2030, "echo yes", State.OK, "synchronised by NTP"),
        (2030, "echo no", State.WARNING, "not synchronised"),
        (2030, "exit 1", State.OK, "cannot say"),
    ],
)
def test_a_clock_that_lies_is_noticed(tmp_path: Path, year: int, answer: str, state: State, words: str) -> None:
    """Time stamps of verdicts depend on it; a machine without battery starts in 1970."""
    [finding] = doctor_machine.clock(datetime(year, 5, 1, tzinfo=UTC), _timedatectl(tmp_path, answer))
    assert finding.state is state
    assert words in finding.detail


def test_a_machine_without_timedatectl_is_no_error() -> None:
    """Containers have none."""
    [finding] = doctor_machine.clock(datetime(2030, 1, 1, tzinfo=UTC), "no-such-program")
    assert finding.state is State.OK


def test_the_disk_is_measured_where_the_ledger_will_be(tmp_path: Path) -> None:
    """A folder that does not exist yet is looked for further up; the measurement leaves nothing behind."""
    found = doctor_machine.disk(tmp_path / "not" / "yet")
    assert any(f"will be created in {tmp_path}" in finding.detail for finding in found)
    assert any("a commit to disk takes" in finding.detail for finding in found)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_writes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong owner, read-only after a fault: said here, before the first verdict is lost."""

    def refuse(_descriptor: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    found = doctor_machine.disk(tmp_path)
    assert [finding for finding in found if finding.state is State.ERROR and "Read-only" in finding.detail]


@pytest.mark.parametrize(
    ("free_mb", "state"), [(99, State.ERROR), (100, State.WARNING), (999, State.WARNING), (1_000, State.OK)]
)
def test_a_full_disk_is_said_in_time(free_mb: int, state: State) -> None:
    """Warning while there is time, error when verdicts cannot be recorded."""
    assert doctor_machine._room("x", free_mb).state is state


def test_the_file_system_of_a_folder_is_the_innermost_mount(tmp_path: Path) -> None:
    """A share inside a local disk is a share; a name that only begins alike is not inside."""
    (tmp_path / "a b" / "deep").mkdir(parents=True)
    (tmp_path / "a bc").mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nsrv:/x {tmp_path}/a\\040b nfs4 rw 0 0\nshort\n")
    assert doctor_machine.filesystem_of(tmp_path / "a b" / "deep", mounts) == "nfs4"
    assert doctor_machine.filesystem_of(tmp_path / "a bc", mounts) == "ext4"


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EROFS, "remount"), (errno.ENOSPC, "Free space"), (errno.EACCES, "chown")]
)
def test_the_advice_fits_the_reason_why_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    """A changed owner helps no one whose file system is mounted read-only or full."""

    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    finding = doctor_machine.disk(tmp_path)[-1]
    assert finding.state is State.ERROR
    assert os.strerror(number) in finding.detail
    assert advice in finding.action
