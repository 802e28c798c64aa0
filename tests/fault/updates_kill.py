"""kill -9 of an installation, a trial, a confirmation and a rollback, in every named state and at random instants.

    python tests/fault/updates_kill.py --rounds 100         every state once in each round

After each kill the device starts and is judged as after a power cut (`updates_cut.py`). Ends with 1 on a finding.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from dice import dice  # noqa: E402
from station_parts import MemorySource  # noqa: E402
from update_rig import Device, make_sticks, memory_folder  # noqa: E402
from updates_cut import STICKS, judge  # noqa: E402
from updates_workload import KEEP_VERSIONS, Snapshot, snapshot  # noqa: E402

from edge_runtime.domain.update import UpdateState  # noqa: E402

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

STATES = (
    *("idle", "copying", "copying, half", "verified", "staged", "selftest", "armed"),
    *("trial", "confirmed", "rolled_back", "random"),
)
USUAL_S = 0.1
"""About as long as the whole of it takes."""


@dataclass(slots=True)
class Kills:
    """What was found."""

    by_state: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def prepare(folder: Path) -> Path:
    """Sticks, and a device that runs 2.0 in `folder/model`; the sticks' folder."""
    sticks = folder / "sticks"
    sticks.mkdir()
    make_sticks(sticks, STICKS)
    device = Device(folder / "model", KEEP_VERSIONS).provision(sticks / "root.json")
    for number in (1, 2):
        device.take(sticks / f"stick-{number}.bundle")
    device.close()
    return sticks


def kill_in(state: str, folder: Path, sticks: Path, drawn: random.Random, kills: Kills) -> None:
    """One life, ended in this state, and a look at what is left."""
    place = folder / "device"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "model", place)
    device = Device(place, KEEP_VERSIONS)
    before = snapshot(device)
    device.close()
    life = multiprocessing.get_context("fork").Process(target=_live, args=(state, place, sticks))
    life.start()
    if state == "random":
        time.sleep(drawn.uniform(0.0, USUAL_S))
        life.kill()
    life.join(30)
    kills.by_state[state] = kills.by_state.get(state, 0) + 1
    if life.exitcode != -signal.SIGKILL and state != "random":
        kills.findings.append(f"{state}: it was never reached (exit code {life.exitcode})")
    kills.findings += [f"killed in {state}: {text}" for text in _judged(place, sticks, before)]


def _judged(place: Path, sticks: Path, before: Snapshot) -> Iterator[str]:
    device = Device(place, KEEP_VERSIONS)
    books = snapshot(device)
    if books.generation < before.generation or books.timestamp < before.timestamp:
        yield f"trust fell from {before} to {books}"
    if books.known_good not in {"2.0", "3.0"}:
        yield f"the last-known-good release is {books.known_good!r}"
    yield from judge(device, sticks, ())
    device.close()


def _live(state: str, place: Path, sticks: Path) -> None:
    """In the process that is killed."""
    device = Device(place, KEEP_VERSIONS)
    device.on_state = lambda reached: _die(reached.value == state)
    source = HalfSource(MemorySource.of(sticks / "stick-3.bundle").members)
    source.dies = state == "copying, half"
    digest = device.install(source).digest
    _step(lambda: device.store.begin_trial(digest), UpdateState.TRIAL, state)
    if state == "rolled_back":
        _step(lambda: device.store.roll_back(digest, "wrong scores"), UpdateState.ROLLED_BACK, state)
    _step(lambda: device.store.confirm(digest), UpdateState.CONFIRMED, state)


def _step(step: Callable[[], object], leads_to: UpdateState, state: str) -> None:
    step()
    _die(leads_to.value == state)


def _die(now: bool) -> None:  # noqa: FBT001  (a condition)
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


class HalfSource(MemorySource):
    """Dies in the middle of the first payload, if it is told to."""

    dies = False

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`."""
        handed_out = 0
        for piece in super().payload(digest, size_bytes):
            handed_out += len(piece)
            _die(self.dies and handed_out > size_bytes // 2)
            yield piece


def run(folder: Path, rounds: int, seed: int) -> Kills:
    """Every state once in each round."""
    sticks, drawn, kills = prepare(folder), dice(f"kills/{seed}"), Kills()
    for _ in range(rounds):
        for state in STATES:
            if len(kills.findings) < 10:
                kill_in(state, folder, sticks, drawn, kills)
    return kills


def main() -> int:
    """Kill, look, report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with memory_folder() as folder:
        kills = run(folder, options.rounds, options.seed)
    for finding in kills.findings:
        sys.stdout.write(f"  FINDING {finding}\n")
    by_state = ", ".join(f"{state} {count}" for state, count in kills.by_state.items())
    sys.stdout.write(
        f"{sum(kills.by_state.values())} SIGKILLs ({by_state}) in {time.monotonic() - began:.0f} s: "
        f"{len(kills.findings)} findings\n"
    )
    return 1 if kills.findings else 0


if __name__ == "__main__":
    sys.exit(main())
