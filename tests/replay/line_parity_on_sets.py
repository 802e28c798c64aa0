"""Float32 and INT8 on both engines, on every labelled set: AUROC, drift, and flipped verdicts.

    python tests/replay/line_parity_on_sets.py --shared ../shared --backbone BACKBONE.onnx --bundles DIR hazelnut_toy …

Makes the PatchCore bundles itself, `patchcore-SET-fp32.bundle` and `…-int8.bundle` in DIR, unless they are there. Those
of other models are taken from DIR by the same names, e.g. `efficientad-SET-fp32.bundle`. Every bundle is scored on
onnxruntime and on OpenVINO by the daemon's own inspector; the float32 one on onnxruntime is what the rest is compared
with: drift in standard deviations of its good parts, and flips between PASS and not PASS, at each bundle's own limits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.figures import image_figures, pixel_figures
from edge_convert.evaluate.runner import Runner
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.decision.parity import Answer, GoodParts, Pair, good_parts, measure
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.verdict import Disposition
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.evaluate.result import ImageRow
    from edge_runtime.domain.verdict import Limits

SETS = ("hazelnut_toy", "dobot_cubes", "cookies", "deeppcb", "casting")
ENGINES = ("onnxruntime", "openvino")


@dataclass(frozen=True, slots=True)
class Scored:
    """One bundle on one engine and one set."""

    rows: tuple[ImageRow, ...]
    limits: Limits
    image_auroc: float
    pixel_auroc: float | None
    p50_ms: float


def make_patchcore(shared: Path, backbone: Path, name: str, bundles: Path) -> None:
    """Teach the float32 and the INT8 bundle of a set, if they are not there.

    INT8 is kept even where `teach` would give it up for its departure from float32: the table is to show how far it is.
    """
    for precision, flags in (("fp32", ["--no-int8"]), ("int8", ["--int8", "--allow-loss"])):
        out = bundles / f"patchcore-{name}-{precision}.bundle"
        if not out.exists():
            command = [sys.executable, "-m", "edge_convert", "teach", str(shared / "data" / name / "train" / "good")]
            options = ["--backbone", str(backbone), "--out", str(out), "--name", f"{name}-{precision}", *flags]
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)


def score(bundle: Path, dataset: Path, engine: str, threads: int) -> Scored | str:
    """All figures, or why the bundle does not run there."""
    found = open_dataset(dataset)
    try:
        with load_inspector(bundle, EngineSettings(name=engine, threads=threads), "development") as inspector:
            scored = Runner(inspector, SystemClock()).run(found, lambda: None)
            limits = inspector.bundle.calibration.limits
    except BundleError as error:
        return error.what
    image, (pixel, _) = image_figures(scored.rows), pixel_figures(scored, found, 0.3)
    latencies = sorted(row.latency_ms for row in scored.rows if row.latency_ms is not None)
    if image is None:
        return "no scores"
    auroc = None if pixel is None else pixel.auroc.value
    return Scored(scored.rows, limits, image.auroc, auroc, latencies[len(latencies) // 2])


def compare(reference: Scored, other: Scored) -> tuple[float, int]:
    """Largest drift of a good part in standard deviations, and flipped verdicts."""
    ruler = _ruler(reference)
    pairs = [
        Pair(one.file, one.label != "good", Answer(one.score or 0.0), Answer(two.score or 0.0))
        for one, two in zip(reference.rows, other.rows, strict=True)
    ]
    drift = measure(pairs, reference.limits, ruler, "").good_drift or 0.0
    passes = [[row.disposition is Disposition.PASS for row in side.rows] for side in (reference, other)]
    return drift, sum(one != two for one, two in zip(*passes, strict=True))


def _ruler(reference: Scored) -> GoodParts:
    return good_parts([row.score for row in reference.rows if row.label == "good" and row.score is not None])


def report(model: str, name: str, dataset: Path, bundles: Path, threads: int) -> None:
    """Lines of the table for one model on one set; silent where there is no bundle of it."""
    reference: Scored | None = None
    for precision in ("fp32", "int8"):
        bundle = bundles / f"{model}-{name}-{precision}.bundle"
        if not bundle.exists():
            continue
        for engine in ENGINES:
            found = score(bundle, dataset, engine, threads)
            if isinstance(found, str):
                print(f"| {model} | {name} | {precision} | {engine} | {found} | | | | | |", flush=True)
                continue
            reference = reference or found
            drift, flips = compare(reference, found)
            pixel = "–" if found.pixel_auroc is None else f"{found.pixel_auroc:.4f}"
            loss = reference.image_auroc - found.image_auroc
            cells = (model, name, precision, engine, f"{found.image_auroc:.4f}", f"{loss:+.4f}", pixel)
            print(f"| {' | '.join(cells)} | {drift:.3f} | {flips} | {found.p50_ms:.1f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, help="for PatchCore; without it only bundles that are there")
    parser.add_argument("--bundles", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="*", default=["patchcore", "efficientad"])
    parser.add_argument("sets", nargs="*", default=list(SETS))
    arguments = parser.parse_args()
    arguments.bundles.mkdir(parents=True, exist_ok=True)
    print("| model | set | precision | engine | image AUROC | loss | pixel AUROC | drift, σ good | flips | p50 ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.sets:
        if arguments.backbone is not None and "patchcore" in arguments.models:
            make_patchcore(arguments.shared, arguments.backbone, name, arguments.bundles)
        for model in arguments.models:
            report(model, name, arguments.shared / "data" / name, arguments.bundles, arguments.threads)


if __name__ == "__main__":
    main()
