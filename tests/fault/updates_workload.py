"""Releases come, are tried, confirmed, rolled back and removed: started by `updates_cut.py` under its recorder.

python tests/fault/updates_workload.py FOLDER STICKS

In `FOLDER/marks` stands, after each step, what the books said: the next step may be cut, this one is promised.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from update_rig import PRODUCT, Device  # noqa: E402

from edge_runtime.bundles.install import Proof  # noqa: E402
from edge_runtime.domain.errors import EdgeError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.domain.update import StoredRelease

KEEP_VERSIONS = 2


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the books say."""

    known_good: str = ""
    armed: str = ""
    trial: str = ""
    attempts: int = 0
    generation: int = -1
    timestamp: int = 0


def snapshot(device: Device) -> Snapshot:
    """Of a device."""
    standing = device.store.standing(PRODUCT)
    trusted = device.trusted_versions() if device.store.intake.trust_generation() >= 0 else (-1, 0)
    due = standing.armed or standing.trial
    return Snapshot(
        _version(standing.known_good),
        _version(standing.armed),
        _version(standing.trial),
        0 if due is None else due.attempts,
        *trusted,
    )


def _version(release: StoredRelease | None) -> str:
    return "" if release is None else release.version


def steps(device: Device, sticks: Path) -> Iterator[Callable[[], object]]:
    """One commit each (a confirmation: two)."""
    newest: list[str] = []

    def install(number: int) -> None:
        newest.append(device.install(sticks / f"stick-{number}.bundle").digest)

    yield lambda: device.provision(sticks / "root.json")
    for number in (1, 2, 3):
        yield lambda number=number: install(number)
        yield lambda: device.store.begin_trial(newest[-1])
        yield lambda: device.store.confirm(newest[-1])
    yield lambda: install(4)
    for _ in range(2):
        yield lambda: device.store.begin_trial(newest[-1])
    yield lambda: device.store.roll_back(newest[-1], "wrong scores on the line")
    yield lambda: device.store.request_rollback(PRODUCT, "test", "the one before")
    yield lambda: device.store.begin_trial(device.store.find("part@2.0").digest)
    yield lambda: install(5)
    yield lambda: _fail(device, sticks)
    yield lambda: device.store.begin_trial(newest[-1])
    yield lambda: device.store.confirm(newest[-1])


def _fail(device: Device, sticks: Path) -> None:
    """A self-test that fails."""
    device.prover.proof = Proof(passed=False, summary="wrong scores")
    try:
        device.install(sticks / "stick-6.bundle")
    except EdgeError:
        device.prover.proof = Proof(passed=True, summary="")


def main() -> None:
    """All steps."""
    folder, sticks = Path(sys.argv[1]), Path(sys.argv[2])
    marks = os.open(folder / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    device = Device(folder, KEEP_VERSIONS)
    for step in steps(device, sticks):
        os.write(marks, (json.dumps(astuple(snapshot(device))) + "\n").encode())
        step()
    os.write(marks, (json.dumps(astuple(snapshot(device))) + "\n").encode())
    device.close()


if __name__ == "__main__":
    main()
