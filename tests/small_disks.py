"""Small real file systems for tests that fill them: a tmpfs, and an ext4 in a file."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_BYTES = 24 * 1024 * 1024


def _run(*command: str | Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"needs {command[0]}: {error}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot make a small file system here: {error.stderr.strip()}")


@contextlib.contextmanager
def small_disk(kind: str, folder: Path) -> Iterator[Path]:
    """A mounted file system of 24 MiB, "tmpfs" or "ext4"; the test is skipped where that takes rights we lack."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place, image = folder / "disk", folder / "disk.img"
    place.mkdir()
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", place)
    else:
        image.touch()
        os.truncate(image, SIZE_BYTES)
        _run("mkfs.ext4", "-q", "-F", image)
        _run("mount", "-o", "loop,errors=remount-ro", image, place)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Take all the room there is but `leave_bytes`; delete the returned file to give it back."""
    filler = folder / "filler"
    about = os.statvfs(folder)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        if leave_bytes:
            os.posix_fallocate(file.fileno(), 0, max(1, about.f_bavail * about.f_frsize - leave_bytes))
        else:
            while True:
                file.write(b"x" * 65_536)
    return filler


def turn_read_only(place: Path) -> None:
    """Do what the kernel does to an ext4 whose device reports errors."""
    source = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", place], check=True, capture_output=True, text=True
    ).stdout.strip()
    trigger = Path("/sys/fs/ext4", Path(source).name, "trigger_fs_error")
    if not trigger.exists():
        pytest.skip("this kernel cannot be told to turn an ext4 read-only")
    trigger.write_text("test")
