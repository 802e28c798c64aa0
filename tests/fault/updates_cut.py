"""Cuts the power, and kills the program, at every write, sync, rename and removal of the store of releases.

    python tests/fault/updates_cut.py --disks 3         every operation, a killed program and three disks each

A workload (`updates_workload.py`) is recorded by `write_recorder.c`. Then, for every prefix of what it did to the disk,
the device starts: as the operations left it (kill -9), and on disks as a power cut at that moment may leave them (see
`recorded_tree`). On each: the books say what they said before or after the step that was cut; what runs is hash-valid;
trust is sound and not lower than promised; nothing uncommitted is left; the oldest stick is refused, and the newest one
is taken. Ends with 1 if not. Needs a C compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from dice import dice  # noqa: E402
from recorded_disk import read_operations  # noqa: E402
from recorded_tree import RecordedTree, write_out_tree  # noqa: E402
from update_rig import PRODUCT, Device, make_sticks, memory_folder  # noqa: E402
from updates_workload import KEEP_VERSIONS, Snapshot, snapshot  # noqa: E402

from edge_runtime.bundles.store_open import check_release  # noqa: E402
from edge_runtime.domain.errors import EdgeError, TrustError, UpdateError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recorded_disk import Operation
    from recorded_tree import Found

STICKS = 7
"""The workload knows all but the last one."""
FINDINGS = 10
FIRST_TIMESTAMP = 2
"""On the first stick: the station's own beginning was 1."""


@dataclass(slots=True)
class Tally:
    """What was found over all cuts."""

    operations: int = 0
    syncs: int = 0
    renames: int = 0
    kills: int = 0
    cuts: int = 0
    findings: list[str] = field(default_factory=list)


def record(folder: Path) -> Path:
    """Run the workload below `folder`; the log of its operations. Sticks are in `folder/sticks`.

    Raises:
        subprocess.CalledProcessError: it cannot be compiled, or the workload failed.
    """
    library, log, disk, sticks = (folder / name for name in ("recorder.so", "writes.log", "disk", "sticks"))
    disk.mkdir()
    sticks.mkdir()
    make_sticks(sticks, STICKS)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "write_recorder.c"), "-ldl", "-lpthread"],
        check=True,
    )
    environment = {"LD_PRELOAD": str(library), "EDGE_RECORD_ROOT": str(disk), "EDGE_RECORD_LOG": str(log)}
    command = [sys.executable, str(HERE / "updates_workload.py"), str(disk), str(sticks)]
    subprocess.run(command, env=os.environ | environment, check=True)
    return log


def cut_everywhere(log: Path, work: Path, seed: int, disks: int, every: int = 1) -> Tally:
    """Look at `disks` disks after every `every`-th operation; stops at the tenth finding."""
    operations = list(read_operations(log))
    marks = [Snapshot(*json.loads(op.data)) for op in operations if _is_mark(op)]
    tree, passed, drawn, tally = RecordedTree(work / "disk"), 0, dice(f"updates/{seed}"), Tally()
    for number, operation in enumerate(operations):
        tally.operations += 1
        tally.syncs += operation.kind in "sd"
        tally.renames += operation.kind == "r"
        passed += _is_mark(operation)
        tree.apply(operation)
        if number % every or len(tally.findings) >= FINDINGS:
            continue
        allowed = marks[max(0, passed - 1) : passed + 1]
        where = f"operation {number}, {operation.kind} {operation.path.removeprefix(str(work))}"
        tally.kills += 1
        tally.findings += [f"killed after {where}: {text}" for text in look(tree.as_it_is(), work, allowed)]
        for _ in range(disks):
            tally.cuts += 1
            found = tree.after_power_cut(drawn)
            tally.findings += [f"cut after {where}: {text}" for text in look(found, work, allowed)]
    return tally


def _is_mark(operation: Operation) -> bool:
    return operation.kind == "w" and operation.path.endswith("/marks")


def look(found: Found, work: Path, allowed: Sequence[Snapshot]) -> Iterator[str]:
    """Start the device on this disk; what is wrong."""
    place = work / "found"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    write_out_tree(found, place)
    try:
        device = Device(place, KEEP_VERSIONS)
    except (EdgeError, AssertionError) as error:
        yield f"the store does not open: {error}"
        return
    try:
        yield from judge(device, work / "sticks", allowed)
    except EdgeError as error:
        yield f"unexpected: {error.diagnostics()}"
    finally:
        device.close()


def judge(device: Device, sticks: Path, allowed: Sequence[Snapshot]) -> Iterator[str]:
    """What is wrong with a device that was started anew; the books must be among the allowed ones, if any are given."""
    books = snapshot(device)
    promised = allowed[0] if allowed else Snapshot()
    if allowed and books not in allowed:
        yield f"the books say {books}, which is none of {allowed}"
    if books.generation < promised.generation or books.timestamp < promised.timestamp:
        yield f"trust fell from {promised} to {books}"
    runs = books.armed or books.trial or books.known_good
    try:
        release = device.store.resolve_start(PRODUCT)
    except UpdateError as error:
        if runs:
            yield f"nothing runs: {error.what}"
    else:
        check_release(device.store.path(release.digest), release.digest)
        if release.version not in {runs, books.known_good}:
            yield f"{release.version} runs, by the books {runs} or {books.known_good}"
    device.store.sweep()
    if rubbish := device.rubbish():
        yield f"left over: {rubbish}"
    if books.generation >= 0:
        yield from _goes_on(device, sticks, books)


def _goes_on(device: Device, sticks: Path, books: Snapshot) -> Iterator[str]:
    """The oldest stick gets nowhere, the newest one is taken."""
    if books.timestamp > FIRST_TIMESTAMP:
        try:
            device.install(sticks / "stick-1.bundle")
        except TrustError:
            pass
        else:
            yield "the oldest stick was accepted"
    taken = device.take(sticks / f"stick-{STICKS}.bundle")
    if device.store.resolve_start(PRODUCT).digest != taken.digest:
        yield "the newest stick was taken and does not run"


def main() -> int:
    """Record, cut, report; returns the exit code."""
    options = _parser().parse_args()
    began = time.monotonic()
    with memory_folder() as folder:
        tally = cut_everywhere(record(folder), folder, options.seed, options.disks, options.every)
    for finding in tally.findings:
        sys.stdout.write(f"  FINDING {finding}\n")
    sys.stdout.write(
        f"{tally.operations} operations, among them {tally.syncs} syncs and {tally.renames} renames: {tally.kills} "
        f"kills and {tally.cuts} power cuts in {time.monotonic() - began:.0f} s: {len(tally.findings)} findings\n"
    )
    return 1 if tally.findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the disks")
    parser.add_argument("--disks", type=int, default=3, help="disks that are looked at after each operation")
    parser.add_argument("--every", type=int, default=1, help="cut after every so many operations")
    return parser


if __name__ == "__main__":
    sys.exit(main())
