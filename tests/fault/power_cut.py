"""Cuts the power at every write of a line's ledger, and looks at what is found afterwards.

    python tests/fault/power_cut.py --seed 3 --line-s 20        every prefix of the writes, three disks each

A simulated line writes its ledger through `write_recorder.c`. Then, for every prefix of what it wrote, disks are made
as a power cut at that moment may leave them (see `recorded_disk`). On each: the ledger opens, its hash chain verifies,
it holds every record whose commit had returned, and with what the PLC remembers every part that was acted upon has its
record or reappears as interrupted. Ends with 1 if not. Needs a C compiler.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from dice import dice  # noqa: E402
from makers import BUNDLE, make_recipe  # noqa: E402
from recorded_disk import RecordedDisk, read_operations, write_out  # noqa: E402

from edge_runtime import ledger as ledgers  # noqa: E402
from edge_runtime.broker.encoding import encoder  # noqa: E402
from edge_runtime.config.line import LedgerSettings  # noqa: E402
from edge_runtime.domain.errors import LedgerError  # noqa: E402
from edge_runtime.ledger.reader import LedgerReader  # noqa: E402
from edge_runtime.ledger.verify import verify  # noqa: E402
from edge_runtime.services.reconcile import reconcile  # noqa: E402

if TYPE_CHECKING:
    import random

    from recorded_disk import Operation

    from edge_runtime.ledger.port import Ledger

DEVICE = "line"
LEFT_OUT = ("-shm", ".lock", ".reserve", "marks")
"""The shared-memory index is rebuilt by SQLite, the others hold nothing."""


@dataclass(slots=True)
class Promises:
    """What had been promised before the cut."""

    committed: dict[int, str] = field(default_factory=dict)
    """Record sequence → digest of its message."""
    acted: list[int] = field(default_factory=list)
    """Parts, in the order in which the PLC took over their results."""

    def note(self, line: str) -> None:
        """One mark of the workload."""
        mark = json.loads(line)
        if "acted" in mark:
            self.acted.append(mark["acted"])
        else:
            self.committed |= {int(sequence): digest for sequence, digest in mark["committed"].items()}


@dataclass(slots=True)
class Tally:
    """What was found over all cuts."""

    operations: int = 0
    cuts: int = 0
    most_interrupted: int = 0
    """The window, in parts."""
    findings: list[str] = field(default_factory=list)


def record(folder: Path, seed: int, line_s: float) -> Path:
    """Run the workload below `folder`; the log of its writes.

    Raises:
        subprocess.CalledProcessError: it cannot be compiled, or the workload failed.
    """
    library, log, disk = folder / "write_recorder.so", folder / "writes.log", folder / "disk"
    disk.mkdir()
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "write_recorder.c"), "-ldl", "-lpthread"],
        check=True,
    )
    environment = {"LD_PRELOAD": str(library), "EDGE_RECORD_ROOT": str(disk), "EDGE_RECORD_LOG": str(log)}
    subprocess.run(
        [sys.executable, str(HERE / "power_workload.py"), str(disk), str(seed), str(line_s)],
        env=os.environ | environment,
        check=True,
    )
    return log


def cut_everywhere(log: Path, work: Path, seed: int, disks: int, every: int = 1) -> Tally:
    """Look at `disks` disks after every `every`-th operation; stops at the tenth finding."""
    drawn, disk, promises, tally = dice(f"power/{seed}"), RecordedDisk(), Promises(), Tally()
    for number, operation in enumerate(read_operations(log)):
        tally.operations += 1
        if operation.kind == "w" and operation.path.endswith("/marks"):
            promises.note(operation.data.decode())
        else:
            disk.apply(operation)
        if number % every == 0 and len(tally.findings) < 10:
            for _ in range(disks):
                tally.cuts += 1
                tally.findings += [
                    f"cut after operation {number} ({_described(operation)}): {text}"
                    for text in _look(disk, promises, work, drawn, tally)
                ]
    return tally


def _described(operation: Operation) -> str:
    return f"{operation.kind} {Path(operation.path).name} at {operation.at}, {len(operation.data)} bytes"


def _look(disk: RecordedDisk, promises: Promises, work: Path, drawn: random.Random, tally: Tally) -> list[str]:
    """One disk after a power cut."""
    found = work / "found"
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    write_out(disk.after_power_cut(drawn), found, LEFT_OUT)
    path = found / "ledger.sqlite"
    try:
        ledger = ledgers.create(LedgerSettings(reserve_mb=0), path, DEVICE, encoder(DEVICE))
    except LedgerError as error:
        return [f"the ledger does not open: {error.what}"]
    with closing(ledger):
        return [*_missing(ledger, promises), *_chain(path), *_interrupted(ledger, promises, tally)]


def _missing(ledger: Ledger, promises: Promises) -> list[str]:
    if not promises.committed:
        return []
    rows = ledger.rows(min(promises.committed), max(promises.committed), len(promises.committed) + 10)
    held = {row.sequence: hashlib.sha256(row.payload).hexdigest() for row in rows}
    lost = [sequence for sequence, digest in promises.committed.items() if held.get(sequence) != digest]
    return [f"committed records are not there: {lost[:10]} ({len(lost)})"] if lost else []


def _chain(path: Path) -> list[str]:
    with closing(LedgerReader(path)) as reader:
        found = verify(reader)
    return [] if found.is_sound else [f"the hash chain does not hold: {found}"]


def _interrupted(ledger: Ledger, promises: Promises, tally: Tally) -> list[str]:
    """What the daemon writes down when it starts on this disk, and what it would pass over."""
    if not promises.acted or ledger.last_part_sequence() == 0:
        return []  # a ledger without a verdict cannot know where the PLC's count began
    held = {json.loads(row.payload).get("part_sequence") for row in ledger.rows(1, 10**9, 10**6)}
    last = ledger.last_part_sequence()
    found = reconcile(last, promises.acted[-1], make_recipe(), BUNDLE, "camera", 0, 0)
    reappear = {entry.verdict.part_sequence for entry in found.interrupted}
    tally.most_interrupted = max(tally.most_interrupted, len(reappear))
    untold = sorted(set(promises.acted) - held - reappear)
    return [f"acted upon and never told: {untold[:10]} ({len(untold)})"] if untold else []


def main() -> int:
    """Record, cut, report; returns the exit code."""
    options = _parser().parse_args()
    began = time.monotonic()
    memory = Path("/dev/shm")  # noqa: S108  (thousands of small disks)
    with tempfile.TemporaryDirectory(prefix="edge-power-", dir=memory if memory.is_dir() else None) as temporary:
        folder = Path(temporary)
        log = record(folder, options.seed, options.line_s)
        tally = cut_everywhere(log, folder, options.seed, options.disks, options.every)
    for finding in tally.findings:
        sys.stdout.write(f"  FINDING {finding}\n")
    sys.stdout.write(
        f"seed {options.seed}: {tally.cuts} power cuts over {tally.operations} recorded operations in "
        f"{time.monotonic() - began:.0f} s: {len(tally.findings)} findings; "
        f"at most {tally.most_interrupted} parts reappear as interrupted\n"
    )
    return 1 if tally.findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=3, help="of the line's schedule and of the cuts")
    parser.add_argument("--line-s", type=float, default=20.0, help="line time that is recorded, in seconds")
    parser.add_argument("--disks", type=int, default=3, help="disks that are looked at after each operation")
    parser.add_argument("--every", type=int, default=1, help="cut after every so many operations")
    return parser


if __name__ == "__main__":
    sys.exit(main())
