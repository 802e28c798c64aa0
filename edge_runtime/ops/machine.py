"""The computer that figures were measured on: a latency without its machine says nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_RELEVANT = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_tile": "AMX",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimd": "ASIMD",
    "asimddp": "ASIMD dot product",
    "i8mm": "I8MM",
    "sve": "SVE",
}
"""Flags of /proc/cpuinfo that decide which kernels an engine picks, in the words of their makers."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer, as far as it decides how fast a model runs."""

    cpu: str
    architecture: str
    instruction_sets: tuple[str, ...]
    """Those that inference engines choose kernels by; empty if the system does not say."""
    cores: int
    """Cores that this process may use."""
    system: str


def describe_machine(cpuinfo: Path = _CPUINFO) -> Machine:
    """Ask the operating system; what it does not tell is `unknown`, never guessed."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip().lower(), value.strip())
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    return Machine(
        cpu=fields.get("model name") or fields.get("model") or platform.processor() or "unknown",
        architecture=platform.machine() or "unknown",
        instruction_sets=tuple(name for flag, name in _RELEVANT.items() if flag in flags),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=platform.platform(),
    )
