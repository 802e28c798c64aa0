"""What `edge-convert teach` costs as a whole, and by stage: wall and processor seconds.

    cd tools
    python -m bench.teach_time --images FOLDER --backbone resnet18.onnx --out x.bundle --threads 2 --json x.json

Everything else is as `teach` has it by default. What is done between two stages is counted with the later one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_convert.options import TeachOptions
from edge_convert.progress import Silent
from edge_convert.teach import teach
from edge_runtime.config.engine import EngineSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.progress import Stage


class StageTimes:
    """An observer that counts: title → wall and processor seconds, in the order of first appearance."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = {}
        self.notices: list[str] = []
        self._last = (time.monotonic(), time.process_time())

    @contextlib.contextmanager
    def stage(self, title: str, steps: int) -> Iterator[Stage]:
        """See `Observer`."""
        with Silent().stage(title, steps) as stage:
            yield stage
        self.count(title)

    def notice(self, text: str) -> None:
        """See `Observer`."""
        self.notices.append(text)
        sys.stderr.write(text + "\n")

    def count(self, title: str) -> None:
        """All since the last time belongs to this."""
        now = (time.monotonic(), time.process_time())
        spent = self.stages.setdefault(title, [0.0, 0.0])
        for number, (before, after) in enumerate(zip(self._last, now, strict=True)):
            spent[number] += after - before
        self._last = now
        sys.stderr.write(f"{title}: {spent[0]:.1f} s, processor {spent[1]:.1f} s\n")


def main() -> None:
    """Teach, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-int8", action="store_true")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    options = TeachOptions(
        images=flags.images,
        backbone=flags.backbone,
        out=flags.out,
        name="teach-time",
        height_px=flags.size,
        width_px=flags.size,
        engine=EngineSettings(name="openvino", threads=flags.threads),
        int8=not flags.no_int8,
    )
    watch = StageTimes()
    began, used = time.monotonic(), time.process_time()
    report = teach(options, watch, SystemClock())
    watch.count("writing and proving the file")
    document: dict[str, Any] = {
        "images": report.images,
        "bank": report.bank,
        "channels": report.channels,
        "precision": report.precision,
        "engine": report.engine,
        "wall_cpu_s": [time.monotonic() - began, time.process_time() - used],
        "stages_wall_cpu_s": watch.stages,
        "notices": watch.notices,
        "peak_rss_mb": report.peak_rss_mb,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    sys.stdout.write(text + "\n")
    if flags.json is not None:
        flags.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
