"""The worker's side of `edge_convert.bench.peers`: serves frames from a library to whoever measures. Needs only numpy.

A worker measures itself, from the frame in memory (or the path of a JPEG) to the score, so that neither the pipe nor
the other side's Python is in the figure.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(name: str, detail: str, load_s: float, look: Callable[[Any], float]) -> None:
    """Answer until the input ends.

    Args:
        name: of the peer.
        detail: versions and settings.
        load_s: how long it took to be ready.
        look: from H×W×3 RGB uint8, or from the path of a JPEG, to the score.
    """
    # Libraries print; whoever measures reads the real standard output.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr
    answers.write(json.dumps({"name": name, "detail": detail, "load_s": load_s}) + "\n")
    frames: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        path = Path(asked["frame"])
        if path.suffix == ".npy" and asked["frame"] not in frames:
            frames[asked["frame"]] = np.load(path)
        answers.write(json.dumps(_measured(frames.get(asked["frame"], path), int(asked["count"]), look)) + "\n")


def _measured(frame: Any, count: int, look: Callable[[Any], float]) -> dict[str, Any]:
    spent, score, before = [], 0.0, _processor_ns()
    for _ in range(count):
        started_ns = time.monotonic_ns()
        score = look(frame)
        spent.append(time.monotonic_ns() - started_ns)
    return {"ns": spent, "cpu_ns": _processor_ns() - before, "score": score, "rss_bytes": _rss_bytes()}


def _processor_ns() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def _rss_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()
