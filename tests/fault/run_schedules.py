"""Seeded schedules of faults on a simulated line, each in one process.

    python tests/fault/run_schedules.py --count 200 --jobs 2
    python tests/fault/run_schedules.py --seed 17        one schedule again, with its account

Ends with 1 if any books do not agree; every failing seed prints its account and the command that replays it.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from schedule import draw  # noqa: E402
from simulated_books import Audit, audit  # noqa: E402
from simulated_line import run  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def play(seed: int, line_s: float) -> Audit:
    """One schedule in a folder of its own; one that breaks off is a finding like any other."""
    memory = Path("/dev/shm")  # noqa: S108  (only where the ledger lies during the run)
    with tempfile.TemporaryDirectory(prefix="edge-schedule-", dir=memory if memory.is_dir() else None) as folder:
        try:
            return audit(run(draw(seed, line_s), Path(folder)))
        except Exception as error:  # noqa: BLE001
            return Audit((f"broke off: {error!r}",), f"seed {seed}: broke off: {error!r}")


def play_all(seeds: Iterable[int], line_s: float, jobs: int) -> Iterator[Audit]:
    """Each schedule once, in this order."""
    if jobs == 1:
        yield from (play(seed, line_s) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(functools.partial(play, line_s=line_s), seeds)


def main() -> int:
    """Run them; returns the exit code."""
    options = _parser().parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.count)
    began, failed = time.monotonic(), []
    for seed, found in zip(seeds, play_all(seeds, options.line_s, options.jobs), strict=True):
        if found.findings:
            failed.append(seed)
        if found.findings or options.verbose or options.seed is not None:
            sys.stdout.write(found.account + "\n")
        if found.findings:
            sys.stdout.write(
                f"  again      python tests/fault/run_schedules.py --seed {seed} --line-s {options.line_s:g}\n"
            )
        sys.stdout.flush()
    wall_s = time.monotonic() - began
    sys.stdout.write(
        f"{len(seeds)} schedules of {options.line_s:g} s of line time in {wall_s:.0f} s: "
        f"{len(seeds) - len(failed)} agree, {len(failed)} do not{f': seeds {failed}' if failed else ''}\n"
    )
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many schedules")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--seed", type=int, help="only this one, with its account")
    parser.add_argument("--line-s", type=float, default=30.0, help="line time of each, in seconds")
    parser.add_argument("--jobs", type=int, default=1, help="so many side by side; the result is the same")
    parser.add_argument("--verbose", action="store_true", help="the account of every schedule")
    return parser


if __name__ == "__main__":
    sys.exit(main())
