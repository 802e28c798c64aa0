"""The doctor's look at the computer itself: packages, processor, memory, clock, disk."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime import __version__
from edge_runtime.app.doctor import Finding, State

if TYPE_CHECKING:
    from collections.abc import Sequence

BUILD_YEAR = 2026
"""A clock before this is wrong for certain."""

_CORE = ("numpy", "onnxruntime", "opencv-python-headless", "paho-mqtt", "pydantic", "pymodbus", "pyserial", "watchdog")
_OPTIONAL = ("openvino", "gpiod")
_LEAST_MEMORY_MB = 400
_FULL_MB, _TIGHT_MB = 100, 1_000
_SLOW_SYNC_MS = 50.0
_SYNCS = 15
_FAST_INT8 = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "i8mm": "Arm I8MM",
    "asimddp": "Arm dot product",
}
_USABLE_SIMD = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "Arm NEON"}


def python_and_packages() -> Sequence[Finding]:
    """Python and the packages that the daemon needs."""
    where = f"edge-runtime {__version__}, Python {platform.python_version()}, {platform.machine()}, {sys.prefix}"
    findings = [Finding("python", State.OK, where)]
    versions, missing = [], []
    for name in (*_CORE, *_OPTIONAL):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            if name in _CORE:
                missing.append(name)
    findings.append(Finding("packages", State.OK, ", ".join(versions)))
    if missing:
        action = "Install edge-runtime again into this environment; it brings what it needs."
        findings.append(Finding("packages", State.ERROR, f"missing: {', '.join(missing)}", action))
    return findings


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Sequence[Finding]:
    """Instruction sets: what INT8 models gain here."""
    words = set(cpuinfo.read_text(encoding="utf-8", errors="replace").lower().split())
    cores = len(os.sched_getaffinity(0))
    fast = [name for flag, name in _FAST_INT8.items() if flag in words]
    usable = [name for flag, name in _USABLE_SIMD.items() if flag in words]
    if fast:
        detail = f"{cores} cores, INT8 is fast here ({', '.join(fast)})"
        return [Finding("processor", State.OK, detail)]
    if usable:
        detail = f"{cores} cores, {usable[0]} without INT8 dot products: INT8 models gain little here"
        return [Finding("processor", State.WARNING, detail, "Measure INT8 against f32 bundles on this device.")]
    return [
        Finding(
            "processor",
            State.WARNING,
            f"{cores} cores, no known vector instructions: inference will be slow",
            "Measure the latency with your bundle before you set the decision deadline.",
        )
    ]


def memory(meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")) -> Sequence[Finding]:
    """Memory that is free for the daemon, with the container's limit where there is one."""
    fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line)
    total_mb, available_mb = (int(fields[name].split()[0]) // 1_024 for name in ("MemTotal", "MemAvailable"))
    detail = f"{available_mb} MB of {total_mb} MB available"
    allowed = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    if allowed.isdecimal():
        available_mb = min(available_mb, int(allowed) // 2**20)
        detail += f", this container may use {int(allowed) // 2**20} MB"
    if available_mb < _LEAST_MEMORY_MB:
        action = f"End other programs: the daemon wants about {_LEAST_MEMORY_MB} MB with a small bundle."
        return [Finding("memory", State.WARNING, detail, action)]
    return [Finding("memory", State.OK, detail)]


def clock(now: datetime | None = None, timedatectl: str | None = "timedatectl") -> Sequence[Finding]:
    """Whether the records' time stamps can be believed."""
    now = now or datetime.now(UTC)
    shown = now.isoformat(sep=" ", timespec="seconds")
    if now.year < BUILD_YEAR:
        action = "Set the clock (timedatectl set-time) or connect it to an NTP server; verdicts carry its time."
        return [Finding("clock", State.ERROR, f"{shown}: earlier than this software was built", action)]
    synchronised = _ntp_synchronised(timedatectl)
    if synchronised is None:
        return [Finding("clock", State.OK, f"{shown}; timedatectl cannot say whether it is synchronised")]
    if not synchronised:
        action = (
            "Give the network an NTP server (timedatectl set-ntp true), or verdicts of several lines will not align."
        )
        return [Finding("clock", State.WARNING, f"{shown}, not synchronised", action)]
    return [Finding("clock", State.OK, f"{shown}, synchronised by NTP")]


def _ntp_synchronised(program: str | None) -> bool | None:
    path = shutil.which(program) if program is not None else None
    if path is None:
        return None
    command = [path, "show", "--property=NTPSynchronized", "--value"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(result.stdout.strip())


def disk(state_dir: Path) -> Sequence[Finding]:
    """Room, permission and speed of the place that keeps the ledger."""
    folder = state_dir
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    shown = str(state_dir) if folder == state_dir else f"{state_dir} (will be created in {folder})"
    free_mb = shutil.disk_usage(folder).free // 2**20
    findings = [_room(shown, free_mb)]
    if (filesystem := filesystem_of(folder)) in {"tmpfs", "ramfs"}:
        action = "Set device.state_dir to a real disk: here every record is gone with the power."
        findings.append(Finding("disk", State.WARNING, f"{folder} is in memory ({filesystem})", action))
    return [*findings, _sync_speed(folder)]


def _room(shown: str, free_mb: int) -> Finding:
    detail = f"{shown}: {free_mb} MB free"
    if free_mb < _FULL_MB:
        return Finding("disk", State.ERROR, detail, "Make room: without it no verdict can be recorded.")
    if free_mb < _TIGHT_MB:
        return Finding("disk", State.WARNING, detail, "Make room, or lower evidence.quota_mb and ledger.keep_rows.")
    return Finding("disk", State.OK, detail)


def _make_writable(error: OSError, folder: Path) -> str:
    if error.errno == errno.EROFS:
        return "Mount that disk for writing (`mount -o remount,rw`), or look in `dmesg` why it became read-only."
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free space on that disk."
    return f"Let the user of the service write there: chown it, or start with `install -d -o USER {folder}`."


def _sync_speed(folder: Path) -> Finding:
    """How long a commit takes: a few pages written and forced to the medium."""
    times_ms = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(_SYNCS):
                started = time.perf_counter()
                file.write(b"\xa5" * 4_096)
                file.flush()
                os.fsync(file.fileno())
                times_ms.append((time.perf_counter() - started) * 1e3)
    except OSError as error:
        return Finding(
            "disk", State.ERROR, f"cannot write in {folder}: {error.strerror}", _make_writable(error, folder)
        )
    median, worst = sorted(times_ms)[_SYNCS // 2], max(times_ms)
    detail = f"a commit to disk takes {median:.1f} ms, at worst {worst:.1f} ms of {_SYNCS}"
    if median > _SLOW_SYNC_MS:
        action = (
            "Use a faster medium (SSD, industrial SD card), or raise ledger.group_commit_ms. Rejects are not delayed."
        )
        return Finding("disk", State.WARNING, detail, action)
    return Finding("disk", State.OK, detail)


def filesystem_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that `folder` is on ("ext4", "nfs4", …); "" if nobody says."""
    best, kind = "", ""
    real = str(folder.resolve())
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        point, filesystem = [*line.split(" "), "", ""][1:3]
        point = point.replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, filesystem
    return kind
