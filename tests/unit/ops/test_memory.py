from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_convert.bench.process import memory_of
from edge_runtime.ops.memory import MemoryFigure, SystemMemory, give_back

if TYPE_CHECKING:
    from pathlib import Path

MEMINFO = (
    "MemTotal:       4000000 kB\nMemFree:         100000 kB\nMemAvailable:   2000000 kB\nHugePages_Total:       0\n"
)


def tree(root: Path, **files: str) -> SystemMemory:
    """A root folder with these files; `__` in a name is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("memory_", "memory.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return SystemMemory(root)


def test_this_machine_tells() -> None:
    """The real files are understood."""
    figure = SystemMemory().look()
    assert figure is not None
    assert 0 < figure.available_bytes <= figure.total_bytes


def test_without_a_control_group_the_machine_decides(tmp_path) -> None:
    """Available, not free: cached files are given back."""
    figure = tree(tmp_path, proc__meminfo=MEMINFO).look()
    assert figure == MemoryFigure(2_000_000 * 1_024, 4_000_000 * 1_024, "this machine")


def test_the_control_group_that_is_nearest_to_its_limit_decides(tmp_path) -> None:
    """A container or a unit with MemoryMax= is killed at its own limit, however much the machine has left."""
    memory = tree(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/system/edge\n",
        sys__fs__cgroup__system__edge__memory_max="max\n",
        sys__fs__cgroup__system__edge__memory_current="5\n",
        sys__fs__cgroup__system__memory_max="500000000\n",
        sys__fs__cgroup__system__memory_current="450000000\n",
        sys__fs__cgroup__system__memory_stat="anon 1\ninactive_file 20000000\n",
    )
    figure = memory.look()
    assert figure == MemoryFigure(70_000_000, 500_000_000, "control group /system")


def test_a_machine_that_tells_nothing_is_not_low(tmp_path) -> None:
    """No /proc, or one that says something else: no figure, no reason."""
    assert SystemMemory(tmp_path).look() is None
    assert tree(tmp_path, proc__meminfo="nonsense").look() is None


def test_the_reserve_grows_with_the_machine_within_bounds() -> None:
    """64 MB on a small board, 256 MB on a large machine."""
    reserves = [MemoryFigure(0, total, "").reserve_bytes for total in (500_000_000, 2_000_000_000, 64_000_000_000)]
    assert reserves == [64_000_000, 100_000_000, 256_000_000]


def test_what_is_free_inside_the_process_goes_back_to_the_system() -> None:
    """Many small blocks, freed, stay with the C library until it is told; harmless where there is nothing."""
    blocks = [np.ones(2_000, np.float64) for _ in range(4_000)]
    held = blocks[::500]  # so that the heap cannot simply shrink
    full = memory_of().resident
    del blocks
    give_back()
    assert memory_of().resident < full - 30_000_000
    assert sum(block.sum() for block in held) == 2_000 * len(held)
    give_back()
