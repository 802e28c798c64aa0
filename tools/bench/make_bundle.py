"""A PatchCore bundle from a backbone and a ready memory bank, without teaching: a peer's own weights, for timing.

    cd tools
    python -m bench.make_bundle --backbone DIR/backbone.onnx --bank DIR/bank.npy --images DATA/train/good --out x.bundle

The backbone is INT8 throughout (float32 with `--fp32`), the golden images are three of the folder's with the scores
that this bundle gives them: it proves itself, and says nothing about accuracy. A bundle for a line is made by
`edge-convert teach`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.draft import PatchCoreParts
from edge_convert.images import survey
from edge_convert.options import TeachOptions
from edge_convert.precision.bench import Bench
from edge_convert.precision.choice import Judgement
from edge_convert.precision.features import quantizable
from edge_convert.progress import Silent
from edge_convert.teaching.material import Material, gather
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.model_bundle import Calibration, GoldenImage, Resize
from edge_runtime.domain.verdict import Limits
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.encode import encode_png
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_convert.exact_search import SearchPayloads

_GOLDEN = 3


def main() -> None:
    """Make one bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True, help="M×C float32, .npy")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--resize", default="area_halved", choices=("area", "area_halved", "linear_halved"))
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    flags = parser.parse_args()
    options = TeachOptions(
        images=flags.images,
        backbone=flags.backbone,
        out=flags.out,
        name=flags.out.stem,
        height_px=flags.size,
        width_px=flags.size,
        engine=EngineSettings(name=flags.engine),
        resize=Resize(flags.resize),
    )
    material = gather(options, Silent())
    features = bytes(material.graph.model.SerializeToString()) if flags.fp32 else _int8(material)
    parts = PatchCoreParts(
        name=options.name,
        version="1",
        created=material.created,
        area=material.area,
        features=features,
        grid_height=material.graph.grid_height,
        grid_width=material.graph.grid_width,
    )
    write(parts, parts.search(np.load(flags.bank)), material)
    sys.stdout.write(f"wrote {flags.out}\n")


def _int8(material: Material) -> bytes:
    images = survey(material.options.images, lambda: None)
    bench = Bench(
        original=quantizable(material.graph),
        calibration=lambda: (prepare(images.load(index), material.area.spec) for index in range(len(images.files))),
        judge=lambda _: Judgement(holds=True, badness=0.0, text=""),
        engine=material.engine,
        clock=SystemClock(),
        observer=Silent(),
    )
    return bench.qdq.quantize(frozenset())


def write(parts: PatchCoreParts, search: SearchPayloads, material: Material) -> None:
    """The bundle, proving itself on what it says now."""
    detector = parts.detector(search, material.engine)
    frames = [material.images.load(index) for index in range(_GOLDEN)]
    scores = [detector.inspect((frame,)).score for frame in frames]
    limits = Limits(review=2 * max(scores), reject=3 * max(scores))
    golden = tuple(
        GoldenImage(f"golden/{number}.png", score, 0.05 * score, "PASS") for number, score in enumerate(scores)
    )
    calibration = Calibration(limits, tuple(sorted(scores)), 0.01, (0.0, limits.reject))
    pictures = {one.payload: encode_png(frame) for one, frame in zip(golden, frames, strict=True)}
    write_bundle(material.options.out, parts.draft(search, calibration, golden), parts.payloads(search) | pictures)


if __name__ == "__main__":
    main()
