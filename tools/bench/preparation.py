"""Processor time of preparing one camera frame, by resize and by the frame's form: the shortest of many.

cd tools
python -m bench.preparation
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

_RUNS = 25
_FRAME_PX = (1200, 1920)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def frames() -> dict[str, Exposure]:
    """A smooth scene with noise, in every form."""
    generator = np.random.default_rng(1)
    scene = cv2.resize(generator.integers(0, 256, (60, 96, 3), dtype=np.uint8), _FRAME_PX[::-1])
    colour = np.clip(scene + generator.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)
    deep = (colour.astype(np.uint16) << 8) | generator.integers(0, 256, colour.shape, dtype=np.uint16)
    return {"colour, 8 bit": colour, "mono, 8 bit": colour[:, :, 0].copy(), "colour, 16 bit": deep} | {
        "mono, 16 bit": deep[:, :, 0].copy()
    }


def specs() -> dict[str, InputSpec]:
    """How bundles ask for it: bytes as `teach` writes them, normalised floats as imported models take them."""
    size = {"tensor": "x", "height_px": 256, "width_px": 256, "colour": ColourOrder.RGB}
    raw = {**size, "layout": Layout.NHWC, "dtype": "uint8"}
    floats = {**size, "layout": Layout.NCHW, "dtype": "float32", "mean": _MEAN, "std": _STD}
    halved = getattr(Resize, "AREA_HALVED", None)
    found = {"`area`, bytes": InputSpec(resize=Resize.AREA, **raw)}
    if halved is not None:
        found["`area_halved`, bytes"] = InputSpec(resize=halved, **raw)
        found["`linear_halved`, bytes"] = InputSpec(resize=Resize.LINEAR_HALVED, **raw)
    return found | {
        "`area`, floats": InputSpec(resize=Resize.AREA, **floats),
        "`linear`, floats": InputSpec(resize=Resize.LINEAR, **floats),
        "`linear_antialias`, floats": InputSpec(resize=Resize.LINEAR_ANTIALIAS, **floats),
        "`linear_antialias`, fractions": InputSpec(resize=Resize.LINEAR_ANTIALIAS, keep_fractions=True, **floats),
        "`cubic_antialias`, fractions": InputSpec(resize=Resize.CUBIC_ANTIALIAS, keep_fractions=True, **floats),
    }


def main() -> None:
    """Print a table."""
    for name, spec in specs().items():
        cells = [f"{shortest_ms(frame, spec):.2f}" for frame in frames().values()]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")


def shortest_ms(frame: Exposure, spec: InputSpec) -> float:
    """All threads' processor time, least of many."""
    spent = []
    for _ in range(_RUNS):
        before = time.process_time_ns()
        prepare(frame, spec)
        spent.append(time.process_time_ns() - before)
    return min(spent) / 1e6


if __name__ == "__main__":
    main()
