"""What the operating system says of a process: memory by owner, processor time, energy."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_KIB: Final = 1024
_HEADER: Final = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+\s*(?P<path>.*)$")
_SITE_PACKAGE: Final = re.compile(r"/(?:site|dist)-packages/(?P<name>[^/]+)")
_RAPL: Final = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process, in bytes."""

    resident: int
    by_owner: tuple[tuple[str, int], ...]
    """Who brought it, largest first: a package for its libraries' code and data, `python`, `system` for the C library
    and its kin, `heap` for what was allocated (weights, tensors, Python's objects), `stacks`."""

    @property
    def allocated(self) -> int:
        """What was allocated, by anybody."""
        return sum(size for owner, size in self.by_owner if owner in {"heap", "stacks"})


def memory_of(pid: int | str = "self", proc: Path = Path("/proc")) -> Memory:
    """Resident memory by owner, of a process that this user may look into; empty where the system does not tell."""
    try:
        lines = (proc / str(pid) / "smaps").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return Memory(0, ())
    owners: dict[str, int] = {}
    owner = ""
    for line in lines:
        header = _HEADER.match(line)
        if header is not None:
            owner = _owner(header["path"])
        elif line.startswith("Rss:"):
            owners[owner] = owners.get(owner, 0) + int(line.split()[1]) * _PAGE_KIB
    held = sorted(((name, size) for name, size in owners.items() if size), key=lambda one: -one[1])
    return Memory(sum(size for _, size in held), tuple(held))


def _owner(path: str) -> str:
    if path in {"", "[heap]"} or path.startswith("[anon"):
        return "heap"
    if path.startswith("[stack"):
        return "stacks"
    package = _SITE_PACKAGE.search(path)
    if package is not None:
        return package["name"].removesuffix(".libs").replace("opencv_python_headless", "cv2")
    if "python" in Path(path).name or "/python3" in path:
        return "python"
    return "system"


def processor_ns() -> int:
    """Processor time of this process so far, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e9)


class EnergyMeter:
    """RAPL's counters of the processor packages; says nothing where the machine has none or does not let us read."""

    def __init__(self, root: Path = _RAPL) -> None:
        # Packages only: cores, graphics and memory are parts of them.
        zones = sorted(root.glob("intel-rapl:[0-9]")) if root.is_dir() else []
        self._zones = [zone for zone in zones if os.access(zone / "energy_uj", os.R_OK)]
        self._last = self._read()
        self.joules = 0.0
        """Up to the last `update`."""

    @property
    def readable(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._zones)

    def skip(self) -> None:
        """What was used up to now does not count."""
        self._last = self._read()

    def update(self) -> None:
        """Add what was used since the last call or `skip`, which is to be less than the counters hold (minutes)."""
        now = self._read()
        for before, after, zone in zip(self._last, now, self._zones, strict=True):
            used = after - before
            if used < 0:
                used += int((zone / "max_energy_range_uj").read_text("ascii"))
            self.joules += used / 1e6
        self._last = now

    def _read(self) -> list[int]:
        return [int((zone / "energy_uj").read_text("ascii")) for zone in self._zones]
