"""Seeded schedules of faults on the real daemon, Mosquitto and a PLC, all as processes.

    python tests/fault/run_plant.py --count 40
    python tests/fault/run_plant.py --seed 17        one schedule again, with its account

Ends with 1 if any books do not agree. Without root no small disk can be mounted, without a compiler no disk be slowed
down and no clock be set: those faults are then left out, and the account says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from line_process import DEMO_BUNDLE  # noqa: E402
from plant_run import PlantRun  # noqa: E402
from plant_schedule import draw_plant  # noqa: E402

from edge_runtime.app.soak.belt import draw_pictures  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plant_books import PlantAudit

    from edge_runtime.app.soak.belt import Picture


def impossible() -> frozenset[str]:
    """Devices that cannot be put in trouble on this machine."""
    has_compiler = shutil.which("cc") is not None or shutil.which("gcc") is not None
    return frozenset() if has_compiler and os.geteuid() == 0 else frozenset({"disk", "clock"})


def play(seed: int, line_s: float, pictures: Sequence[Picture], keep: Path | None) -> PlantAudit:
    """One schedule in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="edge-plant-") as folder, ExitStack() as stack:
        work = Path(folder) / "run"
        try:
            return PlantRun(draw_plant(seed, line_s, impossible()), pictures, work, stack).run()
        finally:
            if keep is not None:
                shutil.copytree(work, keep / f"seed-{seed}", ignore=shutil.ignore_patterns("*.png", "ballast"))


def main() -> int:
    """Run them; returns the exit code."""
    options = _parser().parse_args()
    pictures = draw_pictures(DEMO_BUNDLE, 320, 240)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.count)
    began, failed = time.monotonic(), []
    for seed in seeds:
        found = play(seed, options.line_s, pictures, options.keep)
        if found.findings:
            failed.append(seed)
        sys.stdout.write(found.account + "\n")
        if found.findings:
            sys.stdout.write(
                f"  again      python tests/fault/run_plant.py --seed {seed} --line-s {options.line_s:g}\n"
            )
        sys.stdout.flush()
    left_out = f"; left out here: {', '.join(sorted(impossible()))}" if impossible() else ""
    sys.stdout.write(
        f"{len(seeds)} plants of {options.line_s:g} s of line time in {time.monotonic() - began:.0f} s: "
        f"{len(seeds) - len(failed)} agree, {len(failed)} do not{f': seeds {failed}' if failed else ''}{left_out}\n"
    )
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="how many schedules")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy ledger, logs and configuration there")
    parser.add_argument("--line-s", type=float, default=30.0, help="line time of each, in seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
