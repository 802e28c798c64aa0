"""A fast belt for minutes, with the broker down in the middle: everything must be delivered after it, memory flat.

    python tests/fault/sustained.py --parts-per-s 200 --minutes 10 --down-minutes 3

Mosquitto is killed a third of the way through and started again after `--down-minutes`, with its sessions; then the
daemon is held until the subscriber is back (see `subscriber_first`), a fifth of a second or so. Ends with 1 if the
books do not agree or a slope is beyond its limit (see `edge-runtime soak`). On a machine that cannot inspect so fast
the rest gets its fail-safe verdict in time, and the account says how many (reason `overload`).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from line_process import DEMO_BUNDLE  # noqa: E402
from plant_broker import PlantBroker  # noqa: E402
from subscriber_first import with_subscriber_first  # noqa: E402

from edge_runtime.app.soak.account import Account, account  # noqa: E402
from edge_runtime.app.soak.plan import SoakPlan  # noqa: E402
from edge_runtime.app.soak.run import Soak  # noqa: E402
from edge_runtime.ops.clock import SystemClock  # noqa: E402


def main() -> int:
    """Run it; returns the exit code."""
    options = _parser().parse_args()
    duration_s, down_s = 60 * options.minutes, 60 * options.down_minutes
    with tempfile.TemporaryDirectory(prefix="edge-sustained-") as temporary:
        plan = SoakPlan(
            duration_s,
            options.parts_per_s,
            options.seed,
            options.bundle,
            Path(temporary) / "line",
            *options.size,
            evidence=False,
            pictures=options.pictures,
            engine_threads=options.threads,
        )
        found, held_s = _with_outage(plan, Path(temporary) / "mosquitto", down_s)
    if options.json is not None:
        options.json.write_text(json.dumps(found.as_json(), indent=2) + "\n")
    most_behind = max((sample.behind for sample in found.result.samples), default=0)
    outage = f"down for {down_s:.0f} s, the daemon held for {held_s:.2f} s after it"
    sys.stdout.write(f"{found.page()}\n  broker      {outage}; at most {most_behind} verdicts behind\n")
    return 1 if found.findings else 0


def _with_outage(plan: SoakPlan, broker_folder: Path, down_s: float) -> tuple[Account, float]:
    """The account, and how long the daemon was held."""
    broker = PlantBroker(broker_folder)
    held_s = []
    try:
        with Soak(plan, broker, SystemClock()) as soak:

            def come_back() -> None:
                signal_daemon = functools.partial(os.kill, soak.daemon_pid)
                held_s.append(with_subscriber_first(broker.up, lambda: soak.subscriptions, signal_daemon))

            timers = [
                threading.Timer(plan.duration_s / 3, broker.down, kwargs={"forget": False}),
                threading.Timer(plan.duration_s / 3 + down_s, come_back),
            ]
            for timer in timers:
                timer.start()
            found = account(soak.run())
            for timer in timers:
                timer.join()
    finally:
        broker.close()
    return found, sum(held_s)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts-per-s", type=float, default=200.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--down-minutes", type=float, default=3.0, help="how long the broker is down")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bundle", type=Path, default=DEMO_BUNDLE)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"), help="pixels")
    parser.add_argument("--pictures", choices=("png", "bmp"), default="bmp", help="how the belt stores them")
    parser.add_argument("--threads", type=int, default=1, help="of the engine; 0: as many as it likes")
    parser.add_argument("--json", type=Path, help="write the account with all samples here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
