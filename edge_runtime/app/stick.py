"""A stick, from its insertion to its report: what runs with the right to mount, and nothing more than that needs it.

    mount read-only ─▶ the import, as the daemon's own user without any right ─▶ unmount
      ─▶ mount again, writable and synced ─▶ report.txt ─▶ unmount

The import is another process (`edge-runtime updates import`); only its text comes back.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.app.mounts import StickError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.app.mounts import Mounter

FOLDER: Final = "edge-updates"
REPORT: Final = "report.txt"
REPORT_BYTES: Final = 65_536
"""Reports of earlier visits are kept below the newest one, up to so much."""
_LOOKED_AT: Final = 10_000
"""Entries of a folder; a strange stick may hold any number."""
_SEPARATOR: Final = "\r\n" + "-" * 78 + "\r\n\r\n"


@dataclass(frozen=True, slots=True)
class StickVisit:
    """What came of a stick."""

    text: str
    """The technician's view."""
    written: bool
    """It stands on the stick."""
    why_not: str = ""


def visit(
    device: Path, mount_point: Path, mounter: Mounter, bring_in: Callable[[Path | None, str], str], *, report: bool
) -> StickVisit:
    """Handle one stick.

    Args:
        device: the stick's block device.
        mount_point: an empty folder.
        mounter: mounts and unmounts.
        bring_in: takes in what is on the mounted stick and returns the report; is given None and the reason where it
            could not be mounted. Whatever it does, the stick is unmounted after it.
        report: write it on the stick.
    """
    try:
        mounter.mount(device, mount_point, writable=False)
    except StickError as error:
        return StickVisit(bring_in(None, error.diagnostics()), written=False, why_not="the stick cannot be read")
    try:
        text = bring_in(mount_point, "")
        is_ours = find_folder(mount_point) is not None
    finally:
        mounter.unmount(mount_point)
    if not report or not is_ours:
        why_not = "it is not ours: there is no folder edge-updates" if report else "updates.usb.report is off"
        return StickVisit(text, written=False, why_not=why_not)
    try:
        with _mounted(device, mount_point, mounter):
            write_report(mount_point, text)
    except (StickError, OSError) as error:
        return StickVisit(text, written=False, why_not=str(error))
    return StickVisit(text, written=True)


@contextlib.contextmanager
def _mounted(device: Path, mount_point: Path, mounter: Mounter) -> Iterator[None]:
    mounter.mount(device, mount_point, writable=True)
    try:
        yield
    finally:
        mounter.unmount(mount_point)


def find_folder(root: Path) -> Path | None:
    """The stick's `edge-updates` (in whatever case FAT has kept it), if it is a folder and no link to one."""
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry, _ in zip(entries, range(_LOOKED_AT), strict=False):
            if entry.name.lower() == FOLDER and entry.is_dir(follow_symlinks=False):
                return root / entry.name
    return None


def bundle_files(folder: Path) -> list[Path]:
    """The bundles in it, sorted; of one in parts the first part. Ordinary files only, whatever the stick holds.

    Raises:
        OSError: it cannot be read.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(_LOOKED_AT), strict=False):
            name = entry.name.lower()
            if name.endswith((".bundle", ".bundle.001")) and entry.is_file(follow_symlinks=False):
                found.append(folder / entry.name)
    return sorted(found)


def write_report(root: Path, text: str) -> None:
    """Put `text` on top of the stick's report.txt, which is the only thing that is ever written.

    Raises:
        OSError: it is no ordinary file, or the stick does not take it.
    """
    folder = find_folder(root)
    if folder is None:
        raise FileNotFoundError(2, f"there is no folder {FOLDER}")
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(REPORT, flags, 0o644, dir_fd=inside)
    finally:
        os.close(inside)
    with os.fdopen(file, "r+b") as stream:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(22, f"{REPORT} is no ordinary file")
        before = stream.read(REPORT_BYTES)
        content = text.replace("\n", "\r\n").encode("utf-8", "replace")
        if before:
            content += _SEPARATOR.encode() + before
        stream.seek(0)
        stream.write(content[:REPORT_BYTES])
        stream.flush()
        if status.st_size > REPORT_BYTES:  # ours never is, and only grows
            stream.truncate(REPORT_BYTES)
        os.fsync(file)
