"""The import as a process of its own: of the daemon's user, with nothing of the right to mount."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from pathlib import Path

_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONDONTWRITEBYTECODE")
_TEXT_CHARS: Final = 60_000


@dataclass(frozen=True, slots=True)
class _Identity:
    """Whom to become; None: nobody else."""

    user: int | None
    group: int | None
    groups: list[int] | None


def run_import(config: Path, root: Path | None, problem: str, user: str | None) -> str:
    """Take in what is on the stick, as another user; the technician's view.

    Args:
        config: file of the line's configuration.
        root: where the stick is mounted; None where it could not be.
        problem: why not.
        user: to become, where we are root; None: as ourselves.

    Raises:
        ConfigError: there is no such user.
        EdgeError: the process died without a word.
    """
    command = [sys.executable, "-P", "-m", "edge_runtime", "updates", "import", "--config", str(config)]
    command += ["--problem", problem] if root is None else [str(root)]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    identity = _Identity(None, None, None) if user is None else _identity(user, environment)
    done = subprocess.run(  # noqa: S603  (this very program)
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
        env=environment,
        umask=0o027,
        user=identity.user,
        group=identity.group,
        extra_groups=identity.groups,
    )
    sys.stderr.write(done.stderr)
    if not done.stdout.strip():
        raise EdgeError(
            f"the import of the stick ended without a word (exit status {done.returncode})",
            "Look at the log (journalctl -u 'edge-runtime-usb@*'), and report it.",
        )
    return done.stdout[:_TEXT_CHARS]


def _identity(user: str, environment: dict[str, str]) -> _Identity:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(
            f"there is no user {user}", "Create it as systemd/sysusers.d/edge-runtime.conf says, or name another."
        ) from None
    environment["HOME"] = entry.pw_dir
    return _Identity(entry.pw_uid, entry.pw_gid, os.getgrouplist(user, entry.pw_gid))
