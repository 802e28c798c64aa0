"""SIGKILL of the real daemon, again and again, in every state of its life; no committed verdict may be lost.

    python tests/fault/kill_many.py --kills 1000 --work /var/tmp/kills

Goes on where it was left: the folder `--work` keeps the ledger, the subscriber's session and the book of kills. Ends
with 1 if a committed verdict was lost or the books do not agree at the end. States:

    starting     at a random instant before READY
    idle         ready, without parts
    burst        while verdicts are being decided, committed and sent
    broker down  the same, with the broker gone
    commit       as soon as the ledger's write-ahead log is seen to grow
    commit step  at a drawn write or sync of the ledger's files, injected by strace (where it may trace)
    stop         after SIGTERM, while it drains
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from folder_rig import FolderRig  # noqa: E402

if TYPE_CHECKING:
    from line_process import DaemonProcess

STATES = ("starting", "idle", "burst", "broker down", "commit", "commit step", "stop")
BURST = 12
USUAL_START_S = 1.5


class Killer:
    """Kills one daemon after the other on one rig, and keeps the book."""

    def __init__(self, rig: FolderRig, book: Path) -> None:
        self.rig = rig
        self._book = book
        self.kills = [json.loads(line) for line in book.read_text().splitlines()] if book.exists() else []
        self._known = rig.committed()
        self.lost: dict[int, Any] = {}
        self._can_trace = _can_trace()

    def kill(self) -> None:
        """One life of the daemon, ended in the next state."""
        state = STATES[len(self.kills) % len(STATES)]
        if state == "commit step" and not self._can_trace:
            state = "commit"
        if state not in {"idle", "starting"} and self.rig.waiting() < 2 * BURST:
            self.rig.feed(BURST)
        if state == "broker down":
            self.rig.broker.kill()
        daemon, ready_s = self._live(state)
        if state == "broker down":
            self.rig.broker.start()
        daemon.close()
        self._enter(state, ready_s)

    def _live(self, state: str) -> tuple[DaemonProcess, float | None]:
        drawn, began = self.rig.random, time.monotonic()
        if state == "starting":
            daemon = self.rig.spawn()
            time.sleep(drawn.uniform(0.0, USUAL_START_S))
            daemon.process.kill()
            return daemon, None
        if state == "commit step":
            daemon = self.rig.spawn(_strace(drawn.randrange(1, 80)))
            _ended_within(daemon, drawn.uniform(3.0, 6.0))
            daemon.process.kill()
            return daemon, None
        daemon = self.rig.spawn()
        daemon.wait_ready()
        ready_s = time.monotonic() - began
        match state:
            case "idle":
                time.sleep(drawn.uniform(0.0, 0.5))
            case "commit":
                self._await_commits(drawn.randrange(2, 8))
            case "stop":
                self._await_commits(drawn.randrange(2, 5))
                daemon.process.send_signal(signal.SIGTERM)
                time.sleep(drawn.uniform(0.0, 0.4))
            case _:
                self._await_commits(2)
                time.sleep(drawn.uniform(0.0, 0.4))
        daemon.process.kill()
        return daemon, ready_s

    def _await_commits(self, which: int) -> None:
        """Until the write-ahead log has changed so many times; then at once."""
        log, until = Path(f"{self.rig.ledger}-wal"), time.monotonic() + 4.0
        seen = _mtime_ns(log)
        while which > 0 and time.monotonic() < until:
            if (now := _mtime_ns(log)) != seen:
                seen, which = now, which - 1

    def _enter(self, state: str, ready_s: float | None) -> None:
        committed = self.rig.committed()
        lost = {number: entry for number, entry in self._known.items() if committed.get(number) != entry}
        unwritten = self.rig.delivered() - set(committed)
        self.lost |= lost | dict.fromkeys(unwritten, "at the subscriber only")
        self._known = committed
        entry = {"state": state, "ready_s": ready_s, "committed": len(committed), "lost": sorted(self.lost)}
        self.kills.append(entry)
        with self._book.open("a") as book:
            book.write(json.dumps(entry) + "\n")


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _ended_within(daemon: DaemonProcess, seconds: float) -> bool:
    try:
        daemon.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _strace(which: int) -> tuple[str, ...]:
    """Kills the daemon itself on its n-th write at a place in a file, sync or rename: what commits are made of."""
    calls = "pwrite64,fdatasync,fsync,rename"
    return ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
            f"inject={calls}:signal=SIGKILL:when={which}")  # fmt: skip


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run([*_strace(9_999), "true"], check=False, capture_output=True).returncode == 0


def main() -> int:
    """Kill so often; returns the exit code."""
    options = _parser().parse_args()
    work = Path(tempfile.mkdtemp(prefix="edge-kills-")) if options.work is None else options.work
    began = time.monotonic()
    with ExitStack() as stack:
        rig = FolderRig(work, options.seed + os.getpid(), stack)
        killer = Killer(rig, work / "kills.jsonl")
        while len(killer.kills) < options.kills and not killer.lost:
            if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
                break
            killer.kill()
        findings = _finish(rig)
    sys.stdout.write(account(killer, findings, work) + "\n")
    if options.work is None:
        shutil.rmtree(work)
    return 1 if killer.lost or findings else 0


def _finish(rig: FolderRig) -> list[str]:
    daemon = rig.spawn()
    daemon.wait_ready()
    try:
        rig.settle()
    except AssertionError as error:
        return [str(error), *rig.disagreements()]
    code = daemon.terminate()
    return rig.disagreements() + ([] if code == 0 else [f"the last daemon ended with {code}"])


def account(killer: Killer, findings: list[str], work: Path) -> str:
    """The run on one page."""
    kills, starts = killer.kills, sorted(k["ready_s"] for k in killer.kills if k["ready_s"] is not None)
    by_state = ", ".join(f"{state} {sum(k['state'] == state for k in kills)}" for state in STATES)
    lines = [
        f"{len(kills)} SIGKILLs ({by_state}): {len(killer.lost)} committed verdicts lost",
        f"  {len(killer.rig.fed)} parts, {kills[-1]['committed'] if kills else 0} verdicts committed at the last kill",
    ]
    if len(starts) > 1:
        cuts = statistics.quantiles(starts, n=100)
        lines.append(
            f"  start to READY ({len(starts)}): p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, worst {starts[-1]:.2f} s"
        )
    lines += [f"  FINDING {finding}" for finding in findings] or ["  the books agree at the end"]
    lines.append(f"  book: {work / 'kills.jsonl'}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills", type=int, default=1_000, help="in all, those of earlier runs on this folder included"
    )
    parser.add_argument("--minutes", type=float, help="leave off after so long; the same command goes on later")
    parser.add_argument("--work", type=Path, help="where everything is kept; default: a folder that is removed")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
