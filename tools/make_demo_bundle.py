"""Teach the bundles of the demo again: good parts of the simulated conveyor, our own backbone, the ordinary `teach`.

python tools/make_demo_bundle.py models/backbones/BACKBONE.onnx models/demo.bundle
python tools/make_demo_bundle.py --fast models/backbones/BACKBONE.onnx models/demo_fast.bundle
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edge_runtime.camera.sim_scene import render_good_parts
from edge_runtime.vision.encode import encode_png

GOOD_PARTS = 300
SEED = 1
CREATED = "1795219200"
"""2026-11-21; rendered images have no date of their own, and equal inputs are to make equal bundles."""
SIZE = ("--size", "192x256")
"""Height×width: three quarters of the camera's 240×320, so that the small defects stay visible."""
FAST = ("--size", "96x128", "--coreset", "0.002", "--coreset-min", "400")
"""For 200 parts per second on two cores: a quarter of the pixels and a small memory bank."""


def main(backbone: Path, bundle: Path, *, fast: bool) -> int:
    """Render, teach, and return teach's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        for number, pixels in enumerate(render_good_parts(GOOD_PARTS, SEED)):
            (Path(folder) / f"good-{number:04d}.png").write_bytes(encode_png(pixels))
        command = [sys.executable, "-m", "edge_convert", "teach", folder, "--backbone", str(backbone)]
        command += ["--out", str(bundle), "--false-reject-rate", "0.005"]
        command += ["--name", "demo-fast", *FAST] if fast else ["--name", "demo", *SIZE]
        environment = os.environ | {"SOURCE_DATE_EPOCH": CREATED}
        return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603  (our own program)


if __name__ == "__main__":
    files = [Path(argument) for argument in sys.argv[1:] if argument != "--fast"]
    sys.exit(main(files[0], files[1], fast="--fast" in sys.argv))
