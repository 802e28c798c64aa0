"""Damaged bundle files, one after the other, on a device: typed errors, bounded memory and time, no trace left.

    python tests/fault/updates_fuzz.py --files 10000            sticks
    python tests/fault/updates_fuzz.py --files 3000 --state     what the device itself keeps

A file is a genuine stick with random damage, of its bytes or (with fresh headers) of its members' contents, names and
order. It is refused, or it was damaged where nothing is signed, and then our copy is the genuine release, byte for
byte. Ends with 1 on anything else: an untyped error, more than a second of computing, growing memory, a leftover.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import resource
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "fuzz")]

from bundle_parts import members_of, pack  # noqa: E402
from dice import dice  # noqa: E402
from mutation import mutated  # noqa: E402
from update_rig import PRODUCT, Device, make_sticks, memory_folder  # noqa: E402

from edge_runtime.bundles.store_open import check_release  # noqa: E402
from edge_runtime.domain.errors import EdgeError  # noqa: E402

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

TAKEN = "taken, because the damage lies where nothing is signed"
FINDINGS = 10
SLOW_S = 1.0
"""Of computing: how busy the machine is says nothing about the file."""
GROWTH_KB = 65_536
"""Over a whole run."""
_NAMES = ("release.json", "metadata/timestamp.json", "../evil", "/etc/passwd", "targets/" + "0" * 64, "", "a" * 100)


@dataclass(slots=True)
class FuzzTally:
    """What became of the files."""

    ends: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    growth_kb: int = 0
    findings: list[str] = field(default_factory=list)


def damaged(raws: Sequence[bytes], drawn: random.Random) -> bytes:
    """One more bad file."""
    raw = drawn.choice(raws)
    if drawn.random() < 0.5:
        return mutated(raw, raws, drawn)
    members = members_of(raw)
    for _ in range(drawn.choice((1, 1, 2, 4))):
        place = drawn.randrange(len(members))
        name, content = members[place]
        match drawn.randrange(5):
            case 0 | 1:
                members[place] = (name, mutated(content, [other for _, other in members], drawn))
            case 2:
                members[place] = (drawn.choice(_NAMES), content)
            case 3:
                members.insert(drawn.randrange(len(members) + 1), members[place])
            case _:
                del members[place]
        if not members:
            break
    return pack(members)


def fuzz(folder: Path, files: int, seed: int) -> FuzzTally:
    """That many files on one device; stops at the tenth finding."""
    raws, drawn, tally = [path.read_bytes() for path in make_sticks(folder, 2)], dice(f"tars/{seed}"), FuzzTally()
    genuine = {hashlib.sha256(dict(members_of(raw))["release.json"]).hexdigest() for raw in raws}
    path, before_kb = folder / "damaged.bundle", 0
    device = _new_device(folder)
    for number in range(files):
        path.write_bytes(damaged(raws, drawn))
        began = time.process_time()
        end = _end(device, path, genuine)
        took_s = time.process_time() - began
        tally.ends[end.partition(":")[0]] += 1
        tally.slowest_s = max(tally.slowest_s, took_s)
        problems = [end] if end.startswith("FINDING") else []
        problems += [f"took {took_s:.2f} s of computing"] if took_s > SLOW_S else []
        problems += [f"left over: {rubbish}"] if (rubbish := device.rubbish()) else []
        tally.findings += [f"file {number}: {problem}" for problem in problems]
        if number == files // 10:
            before_kb = _memory_kb()
        if len(tally.findings) >= FINDINGS:
            break
        if end == TAKEN:  # it trusts newer metadata now, which would refuse most of what comes at its first look
            device.close()
            device = _new_device(folder)
    tally.growth_kb = _memory_kb() - before_kb
    if tally.growth_kb > GROWTH_KB:
        tally.findings.append(f"memory grew by {tally.growth_kb} kB")
    device.close()
    return tally


def fuzz_state(folder: Path, rounds: int, seed: int) -> FuzzTally:
    """Damage to what the device itself keeps: its database, receipts, trusted metadata and stored releases.

    It starts with a hash-valid release or says in words why not, and the oldest stick is never accepted.
    """
    sticks, drawn, tally = make_sticks(folder, 3), dice(f"state/{seed}"), FuzzTally()
    model = _new_device(folder)
    for stick in sticks[:2]:
        model.take(stick)
    model.close()
    (folder / "device").rename(folder / "model")
    for number in range(rounds):
        shutil.rmtree(folder / "device", ignore_errors=True)
        shutil.copytree(folder / "model", folder / "device")
        files = sorted(path for path in (folder / "device").rglob("*") if path.stat().st_size)
        path = drawn.choice([file for file in files if file.is_file()])
        if path.name == "updates.sqlite" or drawn.random() < 0.7:
            path.write_bytes(mutated(path.read_bytes(), [sticks[0].read_bytes()], drawn))
        else:
            path.unlink()
        end = _start_end(folder, sticks)
        tally.ends[end.partition(":")[0]] += 1
        if end.startswith("FINDING"):
            tally.findings.append(f"round {number}, {path.relative_to(folder)}: {end}")
        if len(tally.findings) >= FINDINGS:
            break
    return tally


def _start_end(folder: Path, sticks: Sequence[Path]) -> str:
    try:
        device = Device(folder / "device")
    except AssertionError:
        return "runs by its receipts, or not at all; updates refused"
    except EdgeError as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001  (exactly these are looked for)
        return f"FINDING: {type(error).__name__}: {error}"
    try:
        return _goes_on(device, sticks)
    except Exception as error:  # noqa: BLE001
        return f"FINDING: {type(error).__name__}: {error}"
    finally:
        device.close()


def _goes_on(device: Device, sticks: Sequence[Path]) -> str:
    end = "starts"
    try:
        release = device.store.resolve_start(PRODUCT)
        check_release(device.store.path(release.digest), release.digest)
    except EdgeError as error:
        end = f"does not start ({type(error).__name__})"
    with contextlib.suppress(EdgeError):
        device.install(sticks[0])
        return "FINDING: the oldest stick was accepted"
    with contextlib.suppress(EdgeError):
        device.install(sticks[2])
        return f"{end}, takes the newest stick"
    return f"{end}, refuses every stick"


def _new_device(folder: Path) -> Device:
    shutil.rmtree(folder / "device", ignore_errors=True)
    return Device(folder / "device").provision(folder / "root.json")


def _end(device: Device, path: Path, genuine: set[str]) -> str:
    try:
        taken = device.install(path)
        check_release(device.store.path(taken.digest), taken.digest)
    except EdgeError as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001  (exactly these are looked for)
        return f"FINDING: {type(error).__name__}: {error}"
    return TAKEN if taken.digest in genuine else "FINDING: another release was taken"


def _memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Fuzz and report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", action="store_true", help="damage what the device keeps instead")
    options = parser.parse_args()
    began = time.monotonic()
    with memory_folder() as folder:
        tally = (fuzz_state if options.state else fuzz)(folder, options.files, options.seed)
    for finding in tally.findings:
        sys.stdout.write(f"  FINDING {finding}\n")
    ends = ", ".join(f"{end} {count}" for end, count in tally.ends.most_common())
    sys.stdout.write(
        f"{sum(tally.ends.values())} files in {time.monotonic() - began:.0f} s ({ends}); "
        f"slowest {tally.slowest_s:.2f} s of computing, memory grew by {tally.growth_kb / 1024:.1f} MB: "
        f"{len(tally.findings)} findings\n"
    )
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
