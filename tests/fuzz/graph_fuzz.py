"""Feeds damaged ONNX graphs to the engines, in processes that may die of it: `python tests/fuzz/graph_fuzz.py`.

Engines are native code that reads a graph without distrust: unlike our parsers they may crash or hang, and then take
their process with them. So each process does many graphs, notes each before it begins, and the next one goes on behind
the one that was the end. What killed it is kept in `--keep` and counted; it is no way into a device by itself, since a
graph is read only after its bytes had the digest that its manifest states, which is checked here for every one of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for place in (Path(__file__).parent, Path(__file__).parent.parent):
    sys.path.insert(0, str(place))

import numpy as np  # noqa: E402
from bundle_parts import PAYLOADS, make_draft  # noqa: E402
from mutation import mutated  # noqa: E402
from tiny_anomaly import model  # noqa: E402

from edge_runtime.bundles.archive import open_bundle  # noqa: E402
from edge_runtime.bundles.writer import write_bundle  # noqa: E402
from edge_runtime.config.engine import EngineSettings  # noqa: E402
from edge_runtime.domain.errors import BundleError, EngineError  # noqa: E402
from edge_runtime.engine import create  # noqa: E402

ENGINES = ("onnxruntime", "openvino")
FEWEST = 6
"""Graphs, however slow the machine."""
HANG_S = 10
MEMORY_BYTES = 4 << 30
MOST_ELEMENTS = 1_000_000
"""A graph that declares a larger input is loaded and not run."""


@dataclass(slots=True)
class Tally:
    """What became of one engine's graphs."""

    tried: int = 0
    refused: int = 0
    ran: int = 0
    not_refused_by_digest: int = 0
    untyped: list[str] = field(default_factory=list)
    """What escaped although it is no EngineError: a defect of ours."""
    died: list[str] = field(default_factory=list)
    """Signal and the graph that was the end of a process: the engine's."""

    def line(self, engine: str) -> str:
        """For a person."""
        return (
            f"{engine:<12} {self.tried:>7} tried, {self.refused:>7} refused, {self.ran:>6} ran, {len(self.died)} ended "
            f"the process, {len(self.untyped)} untyped, {self.not_refused_by_digest} not refused by their digest"
        )


def graph(engine: str, seed: int, number: int) -> bytes:
    """The damaged graph of this number."""
    sound = model().SerializeToString()
    dice = random.Random(f"{engine}/{seed}/{number}")  # noqa: S311  (repeatable, guards nothing)
    return mutated(sound, [sound], dice)


def worker(engine: str, seed: int, first: int, until_s: float, note: Path) -> None:
    """Try graphs until the time is up; every outcome is a line on standard output."""
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    runtime = create(EngineSettings(name=engine, threads=1))
    number = first
    while number == first or time.monotonic() < until_s:
        note.write_text(str(number))
        signal.alarm(HANG_S)  # not handled: it ends the process, wherever that is
        outcome = _try(runtime, graph(engine, seed, number))
        signal.alarm(0)
        sys.stdout.write(json.dumps([number, outcome, _has_digest(engine, seed, number)]) + "\n")
        sys.stdout.flush()
        number += 1


def _try(runtime: Any, content: bytes) -> str:
    try:
        loaded = runtime.load(content)
        sizes = {item.name: tuple(side or 1 for side in item.shape) for item in loaded.inputs}
        if all(int(np.prod(size, dtype=object)) <= MOST_ELEMENTS for size in sizes.values()):
            feeds = {item.name: np.zeros(sizes[item.name], item.dtype) for item in loaded.inputs}
            loaded.run(feeds, [item.name for item in loaded.outputs])
    except EngineError:
        return "refused"
    except Exception as error:  # noqa: BLE001  (that is the question)
        return f"{type(error).__name__}: {error}"
    return "ran"


def _has_digest(engine: str, seed: int, number: int) -> bool:
    """Whether a bundle with this graph in the place of the sound one would be opened."""
    sound, damaged = model().SerializeToString(), graph(engine, seed, number)
    if damaged == sound:
        return False
    with tempfile.TemporaryDirectory(prefix="edge-graph-") as folder:
        path = Path(folder) / "fuzzed.bundle"
        write_bundle(path, make_draft(), {**PAYLOADS, "features.onnx": sound})
        path.write_bytes(path.read_bytes().replace(sound, damaged.ljust(len(sound), b"\0")[: len(sound)]))
        try:
            with open_bundle(path, trust="development") as opened:
                return opened.payloads.read("features.onnx") != sound
        except BundleError:
            return False


def fuzz(engine: str, seconds: float, seed: int, keep: Path | None) -> Tally:
    """One engine, for so long, and until there is enough to judge by; a process that dies is followed by the next."""
    tally, until_s, number = Tally(), time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory(prefix="edge-graph-") as folder:
        note = Path(folder) / "number"
        while time.monotonic() < until_s or tally.tried < FEWEST:
            note.write_text(str(number))
            arguments = ["--worker", engine, "--seed", str(seed), "--first", str(number), "--note", str(note)]
            command = [sys.executable, __file__, *arguments, "--until", str(until_s)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            _count(tally, done.stdout)
            number = int(note.read_text()) + 1
            if done.returncode < 0:
                _kept(tally, engine, graph(engine, seed, number - 1), signal.Signals(-done.returncode).name, keep)
            elif done.returncode > 0:
                tally.untyped.append(done.stderr[-500:])
                break
    return tally


def _count(tally: Tally, lines: str) -> None:
    for line in lines.splitlines():
        if not line.startswith("["):  # an engine's own words
            continue
        number, outcome, is_let_through = json.loads(line)
        tally.tried += 1
        tally.refused += outcome == "refused"
        tally.ran += outcome == "ran"
        tally.not_refused_by_digest += is_let_through
        if outcome not in {"refused", "ran"}:
            tally.untyped.append(f"{number}: {outcome}")


def _kept(tally: Tally, engine: str, content: bytes, why: str, keep: Path | None) -> None:
    name = hashlib.sha256(content).hexdigest()[:12]
    tally.tried += 1
    tally.died.append(f"{why} {engine}-graph/{name} ({len(content)} bytes)")
    if keep is not None:
        (keep / f"{engine}-graph").mkdir(parents=True, exist_ok=True)
        (keep / f"{engine}-graph" / name).write_bytes(content)


def main() -> int:
    """Exit code 1 if something escaped that is ours: an untyped error, or a graph without its digest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0, help="for both engines together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("var/fuzz"), help="where what ended a process is kept")
    for hidden, kind in (("--worker", str), ("--first", int), ("--note", Path), ("--until", float)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        worker(options.worker, options.seed, options.first, options.until, options.note)
        return 0
    wrong = 0
    for engine in ENGINES:
        tally = fuzz(engine, options.minutes * 60 / len(ENGINES), options.seed, options.keep)
        sys.stdout.write("\n  ".join([tally.line(engine), *tally.untyped, *tally.died]) + "\n")
        wrong += len(tally.untyped) + tally.not_refused_by_digest
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
