"""Feeds damaged bytes to every parser, for as long as you like: `make fuzz MINUTES=10`.

Only typed errors may come back, within a second and within bounded memory. What breaks a rule is written to
`--keep` and its name printed; put it into tests/fuzz/found/<target>/ with the repair, and it is tried for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

for place in (Path(__file__).parent, Path(__file__).parent.parent):
    sys.path.insert(0, str(place))

from mutation import mutated  # noqa: E402
from targets import Target, targets  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SLOW_S = 1.0
HANG_S = 10
MEMORY_BYTES = 3 << 30
"""Beyond what the process has when it begins: a frame of 256 megapixels needs a quarter of it."""
MOST_FINDINGS = 20
FOUND = Path(__file__).parent / "found"


class HangError(BaseException):
    """No answer at all."""


@dataclass(slots=True)
class Tally:
    """What became of one target's inputs."""

    tried: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)


def try_one(target: Target, data: bytes) -> tuple[bool, str | None]:
    """(refused, what is wrong with the answer or None)."""
    began_s = time.thread_time()
    signal.alarm(HANG_S)
    try:
        target.feed(data)
    except target.allowed:
        refused = True
    except HangError:
        return False, f"no answer within {HANG_S} s"
    except BaseException:  # noqa: BLE001  (that is the question)
        return False, traceback.format_exc(limit=-4)
    else:
        refused = False
    finally:
        signal.alarm(0)
    took_s = time.thread_time() - began_s
    return refused, f"took {took_s:.1f} s of the processor" if took_s > SLOW_S else None


def inputs(target: Target, dice: random.Random) -> Iterator[bytes]:
    """What was found before, and then damaged samples for ever."""
    folder = FOUND / target.name
    yield from (path.read_bytes() for path in sorted(folder.glob("*")))
    while True:
        yield mutated(dice.choice(target.samples), target.samples, dice)


def fuzz(target: Target, seconds: float, seed: int, keep: Path | None) -> Tally:
    """One target, for so long."""
    tally, until_s = Tally(), time.monotonic() + seconds
    for sample in target.samples:
        if try_one(target, sample) != (False, None):
            tally.findings.append(f"a sound sample of {len(sample)} bytes is not accepted")
    for data in inputs(target, random.Random(f"{target.name}-{seed}")):  # noqa: S311  (repeatable, guards nothing)
        refused, wrong = try_one(target, data)
        tally.tried += 1
        tally.refused += refused
        if wrong is not None:
            tally.findings.append(f"{_kept(target, data, keep)}: {wrong}")
        if time.monotonic() > until_s or len(tally.findings) > MOST_FINDINGS:
            return tally
    return tally


def _kept(target: Target, data: bytes, keep: Path | None) -> str:
    name = hashlib.sha256(data).hexdigest()[:12]
    if keep is not None:
        place = keep / target.name
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return f"{target.name}/{name} ({len(data)} bytes)"


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise HangError


def main() -> int:
    """Exit code 1 if anything broke a rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1, help="the same number tries the same bytes in the same order")
    parser.add_argument("--target", action="append", help="only these")
    parser.add_argument("--keep", type=Path, default=Path("var/fuzz"), help="where what breaks a rule is kept")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _hang)
    chosen = [target for target in targets() if not options.target or target.name in options.target]
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
    findings = 0
    for target in chosen:
        tally = fuzz(target, options.minutes * 60 / len(chosen), options.seed, options.keep)
        print(f"{target.name:<17} {tally.tried:>8} tried, {tally.refused:>8} refused, {len(tally.findings)} findings")  # noqa: T201
        for finding in tally.findings:
            print(f"  {finding}")  # noqa: T201
        findings += len(tally.findings)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_000
    print(f"seed {options.seed}, at most {peak_mb} MB in memory")  # noqa: T201
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
