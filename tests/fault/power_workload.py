"""A simulated line on a ledger on disk, recorded by `write_recorder.c`: started by `power_cut.py`.

python tests/fault/power_workload.py FOLDER SEED LINE_S

In `FOLDER/marks` stands, in the order in which it happened, what was committed (sequences, with the digest of each
message) and what the PLC acted upon.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from schedule import Schedule, draw  # noqa: E402
from simulated_line import DEVICE, SimulatedPlant  # noqa: E402

from edge_runtime.broker.encoding import encode  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.plc.model import CoilEntry, ResultEntry


class Marks:
    """A line of JSON per event, in one write each."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def committed(self, entries: Sequence[Any], sequences: Sequence[int]) -> None:
        """`append` has returned."""
        digests = [
            hashlib.sha256(encode(entry, sequence, DEVICE)).hexdigest()
            for entry, sequence in zip(entries, sequences, strict=True)
        ]
        self._write({"committed": dict(zip(map(str, sequences), digests, strict=True))})

    def acted(self, entry: ResultEntry | CoilEntry) -> None:
        """The PLC has taken over a result."""
        result = getattr(entry, "result", None)
        if result is not None:
            self._write({"acted": result.part_sequence})

    def _write(self, mark: dict[str, Any]) -> None:
        os.write(self._file, (json.dumps(mark) + "\n").encode())


class _MarkedPlant(SimulatedPlant):
    def __init__(self, schedule: Schedule, folder: Path, marks: Marks) -> None:
        self._marks = marks
        super().__init__(schedule, folder, marks.committed)

    def _took_over(self, entry: ResultEntry | CoilEntry) -> None:
        super()._took_over(entry)
        self._marks.acted(entry)


def main() -> None:
    """One schedule, ledger on disk, gate permit."""
    folder, seed, line_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    drawn = draw(seed, line_s)
    # The PLC can be asked at every start: what is lost where it cannot is in docs/reliability.md.
    # A ledger that is damaged by more than the cut loses more than a cut may: that is the schedules' subject.
    # Cuts in the store of releases are `updates_cut.py`'s.
    faults = tuple(f for f in drawn.faults if f.device not in {"plc", "model"} and f.kind != "corrupt")
    schedule = replace(drawn, ledger="disk", gate="permit", parts_per_s=8.0, faults=faults)
    _MarkedPlant(schedule, folder, Marks(folder)).run()


if __name__ == "__main__":
    main()
