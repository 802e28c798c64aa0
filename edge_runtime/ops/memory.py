"""How much memory there is still to be had: of the machine, and of the control groups that we run in."""

from __future__ import annotations

import ctypes
import resource
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

LEAST_RESERVE_BYTES: Final = 64_000_000
MOST_RESERVE_BYTES: Final = 256_000_000
_RESERVE_SHARE: Final = 20
_KIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class MemoryFigure:
    """What is left, and of how much; of the machine or of a control group, whichever has less left."""

    available_bytes: int
    total_bytes: int
    of: str
    """Whose: "this machine" or the control group."""

    @property
    def reserve_bytes(self) -> int:
        """Less than this is low: a twentieth, but 64 MB at least and 256 MB at most."""
        return min(max(self.total_bytes // _RESERVE_SHARE, LEAST_RESERVE_BYTES), MOST_RESERVE_BYTES)


class Memory(Protocol):
    """Where the figure comes from."""

    def look(self) -> MemoryFigure | None:
        """The present figure; None where this machine does not tell."""


def resident_bytes() -> int:
    """What this process holds in memory; 0 where this machine does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()


class SystemMemory:
    """Linux: /proc/meminfo and cgroup v2. Looking costs some 0.1 ms."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def look(self) -> MemoryFigure | None:
        """See `Memory`."""
        figures = [figure for figure in (self._machine(), *self._groups()) if figure is not None]
        return min(figures, key=lambda figure: figure.available_bytes, default=None)

    def _machine(self) -> MemoryFigure | None:
        fields = _fields(self._root / "proc" / "meminfo")
        if "MemAvailable" not in fields or "MemTotal" not in fields:
            return None
        return MemoryFigure(fields["MemAvailable"] * _KIB, fields["MemTotal"] * _KIB, "this machine")

    def _groups(self) -> list[MemoryFigure | None]:
        """Our control group and those around it: any of them may have the limit that is met first."""
        try:
            lines = (self._root / "proc" / "self" / "cgroup").read_text("utf-8").splitlines()
        except OSError:
            return []
        place = next((line[len("0::") :] for line in lines if line.startswith("0::/")), None)
        if place is None:
            return []
        own = PurePosixPath(place)
        return [self._group(group) for group in (own, *own.parents)]

    def _group(self, group: PurePosixPath) -> MemoryFigure | None:
        folder = self._root / "sys" / "fs" / "cgroup" / group.relative_to("/")
        limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is None or used is None:
            return None
        # Cached files count as used and are given back when memory is wanted.
        reclaimable = _fields(folder / "memory.stat").get("inactive_file", 0)
        return MemoryFigure(max(0, limit - used + reclaimable), limit, f"control group {group}")


def _number(path: Path) -> int | None:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdigit() else None  # "max": no limit


def _fields(path: Path) -> dict[str, int]:
    """Lines of a name and a number, as /proc and cgroups write them."""
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, ValueError):
        return {}
    words = [line.replace(":", " ").split() for line in lines]
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def give_back() -> bool:
    """Hand memory that is free inside this process back to the system; true if there was any to hand back.

    Loading a model takes twice what the model needs afterwards, and glibc keeps the difference for later. Takes some
    milliseconds, in which other threads wait for memory: not while parts pass. Does nothing where the C library has no
    such function (musl).
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    return bool(trim(0))
