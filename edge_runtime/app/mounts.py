"""Mounting a stick: read-only to look at it, and a second time, writable and synced, for one small file."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final, Protocol

from edge_runtime.domain.errors import Blame, EdgeError

if TYPE_CHECKING:
    from pathlib import Path

_ALWAYS: Final = "nosuid,nodev,noexec"
_FILE_SYSTEMS: Final = {
    # kind: (options always, options where it is only read)
    "vfat": ("fmask=0133,dmask=0022,utf8=1", ""),
    "exfat": ("fmask=0133,dmask=0022", ""),
    "ext4": ("", "noload"),  # without this a read-only mount would write: it replays the journal
}
_LONGEST_S: Final = 60.0
_PATH: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class StickError(EdgeError):
    """A stick cannot be read or written."""

    blame = Blame.OPERATOR


class Mounter(Protocol):
    """Mounts and unmounts one stick."""

    def mount(self, device: Path, folder: Path, *, writable: bool) -> None:
        """Mount it; never with programs, devices or set-user-id files of its own. Writable: every write is synced.

        Raises:
            StickError: it cannot be.
        """

    def unmount(self, folder: Path) -> None:
        """Unmount; from here on the stick may be pulled. Never raises."""


class SystemMounter:
    """By mount(8). Takes the right to mount (CAP_SYS_ADMIN). No helper program of a file system is run."""

    def mount(self, device: Path, folder: Path, *, writable: bool) -> None:
        """See `Mounter`. Only FAT, exFAT and ext4: no other file system's driver ever sees a strange stick."""
        told: list[str] = []
        for kind, (always, reading) in _FILE_SYSTEMS.items():
            mode = "rw,sync" if writable else "ro"
            options = ",".join(part for part in (mode, _ALWAYS, always, "" if writable else reading) if part)
            done = _run("mount", "--internal-only", "--types", kind, "--options", options, str(device), str(folder))
            if done is None:
                return
            told.append(f"{kind}: {done}")
        raise StickError(
            f"the stick {device} cannot be {'written' if writable else 'read'} ({'; '.join(told)})",
            "Format it as FAT32, exFAT or ext4 and have the release station write it (`edge-convert stick`).",
        )

    def unmount(self, folder: Path) -> None:
        """See `Mounter`. A stick that was pulled in the middle is let go of all the same."""
        if _run("umount", str(folder)) is not None:
            _run("umount", "--lazy", str(folder))


def _run(*command: str) -> str | None:
    """None if it went well, else why not."""
    try:
        subprocess.run(  # noqa: S603  (fixed programs, arguments without a shell)
            command, check=True, timeout=_LONGEST_S, capture_output=True, text=True, env=_PATH, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as error:
        told = " ".join(str(error.stderr).partition("dmesg(1)")[0].split())
        return told[:200] or f"exit status {error.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None
