"""What the machine says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from pathlib import Path

X86 = "model name\t: Some CPU @ 3 GHz\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"


@pytest.mark.parametrize(
    ("text", "cpu", "sets"),
    [
        (X86, "Some CPU @ 3 GHz", ("AVX2", "AVX-512", "AVX-512 VNNI", "AMX-INT8")),
        (ARM, "Raspberry Pi 5 Model B Rev 1.0", ("ASIMD", "ASIMD dot product")),
    ],
)
def test_instruction_sets_are_read_from_cpuinfo(tmp_path: Path, text: str, cpu: str, sets: tuple[str, ...]) -> None:
    """The kernels that an engine may choose from are named, on x86-64 and on ARM."""
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    machine = describe_machine(tmp_path / "cpuinfo")
    assert (machine.cpu, machine.instruction_sets) == (cpu, sets)


def test_a_system_without_cpuinfo_is_described_as_far_as_it_goes(tmp_path: Path) -> None:
    """Nothing is guessed: no instruction sets, but cores and architecture."""
    machine = describe_machine(tmp_path / "missing")
    assert machine.instruction_sets == ()
    assert machine.cores >= 1
    assert machine.cpu
