"""A bundle as a worker: for comparisons in which every side has a process and an environment of its own.

python tools/bench/edge_worker.py part.bundle --engine openvino --threads 2
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from worker import serve


def main() -> None:
    """Serve one bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--name", default="edge-runtime")
    options = parser.parse_args()
    started = time.monotonic()
    from edge_runtime.app.inspection import load_inspector  # noqa: PLC0415  (part of loading)
    from edge_runtime.config.engine import EngineSettings  # noqa: PLC0415  (likewise)
    from edge_runtime.detectors.proportions import of_any_frame  # noqa: PLC0415  (likewise)
    from edge_runtime.vision.decode import decode_image  # noqa: PLC0415  (likewise)

    settings = EngineSettings(name=options.engine, threads=options.threads)
    inspector = load_inspector(options.bundle, settings, "development")
    detector = of_any_frame(inspector.detector)

    def look(frame: Any) -> float:
        pixels = decode_image(frame.read_bytes()).array if isinstance(frame, Path) else frame
        return detector.inspect((pixels,)).score

    detail = f"{inspector.bundle.identity.name}, {inspector.engine_description}"
    serve(options.name, detail, time.monotonic() - started, look)


if __name__ == "__main__":
    main()
