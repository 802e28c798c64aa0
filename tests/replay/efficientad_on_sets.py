"""EfficientAD on every labelled set: teacher, training, INT8 and float32 bundles, and what each map is worth.

    python tests/replay/efficientad_on_sets.py --shared ../shared --backbone BACKBONE.onnx --work WORK hazelnut_toy …

Distils `WORK/teacher.npz` from the backbone (no steps: solved for) on procedural scenes and the good images of
hazelnut_toy, dobot_cubes and cookies; trains each set once and writes `efficientad-SET-int8.bundle`, `…-fp32.bundle`
and `SET.onnx`. What is there already is taken as it is, so each `--size` needs a WORK of its own. Then prints the rows
of `line_parity_on_sets.py`, and with `--maps` the AUROC of the student's map alone, of the autoencoder's alone and of
both (which needs `--steps`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnxruntime
from line_parity_on_sets import SETS, report

from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.metrics import image_auroc
from edge_convert.images import load_image
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

TEACHER_SETS: Final = ("hazelnut_toy", "dobot_cubes", "cookies")
"""On which the settings were chosen, too; the other two sets were seen once, by what came of it."""
HELD_OUT: Final = {"casting": ["--holdout", "0.03"]}
"""Of 2,875 images 86 do for limits; a tenth of them takes an hour to score in every precision."""
MAPS: Final = {"student": "maps/local/scaled.out", "autoencoder": "maps/logical/scaled.out", "both": "score"}


def run(command: str, *options: str) -> None:
    """One `edge-convert` command; its progress goes to standard error."""
    subprocess.run([sys.executable, "-m", "edge_convert", *command.split(), *options], check=True, stdout=sys.stderr)


def distil(shared: Path, backbone: Path, teacher: Path, size: str, threads: str) -> None:
    """The teacher of all sets, unless it is there."""
    if teacher.exists():
        return
    folders = [option for name in TEACHER_SETS for option in ("--images", str(shared / "data" / name / "train/good"))]
    views = ["--size", size, "--scenes", "150", "--views", "3", "--per-folder", "16"]
    run("distill", "--backbone", str(backbone), "--out", str(teacher), *folders, *views, "--bf16", "--threads", threads)


def train(shared: Path, name: str, work: Path, options: Sequence[str]) -> None:
    """Both bundles of a set, unless they are there."""
    for precision in ("int8", "fp32"):
        out = work / f"efficientad-{name}-{precision}.bundle"
        if out.exists():
            continue
        checkpoint = work / f"{name}.checkpoint"
        files = ["--out", str(out), "--checkpoint", str(checkpoint), "--json", str(out.with_suffix(".json"))]
        again = ["--resume"] if checkpoint.exists() else []
        files += ["--onnx", str(work / f"{name}.onnx"), "--teacher", str(work / "teacher.npz"), "--keep-checkpoint"]
        chosen = ["--name", f"{name}-{precision}", "--precision", precision, "--engine", "onnxruntime", "--allow-loss"]
        run(
            "train efficientad",
            str(shared / "data" / name / "train/good"),
            *files,
            *chosen,
            *again,
            *HELD_OUT.get(name, []),
            *options,
        )


def maps_apart(graph: Path, bundle: Path, dataset: Path, threads: int) -> dict[str, float]:
    """Image AUROC of each map's largest value, by the float32 graph."""
    model = onnx.load(graph)
    for name in list(MAPS.values())[:2]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with load_inspector(bundle, EngineSettings(name="onnxruntime", threads=threads), "development") as inspector:
        spec = inspector.bundle.input_spec
    scores: dict[bool, list[list[float]]] = {False: [], True: []}
    for sample in open_dataset(dataset).samples:
        found = session.run(list(MAPS.values()), {spec.tensor: prepare(load_image(sample.path), spec)})
        scores[sample.is_defect].append([float(np.max(values)) for values in found])
    good, bad = np.array(scores[False]), np.array(scores[True])
    return {name: image_auroc(good[:, at].tolist(), bad[:, at].tolist()) for at, name in enumerate(MAPS)}


def main() -> None:
    """Make what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", default="s", choices=["xs", "s", "m"])
    parser.add_argument("--steps", default="0", help="of the autoencoder; 0: none")
    parser.add_argument("--maps", action="store_true", help="AUROC of each map alone")
    parser.add_argument("--make-only", action="store_true", help="bundles, but no figures")
    parser.add_argument("sets", nargs="*", default=list(SETS))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    distil(arguments.shared, arguments.backbone, arguments.work / "teacher.npz", arguments.size, str(arguments.threads))
    schedule = ["--steps", arguments.steps, "--batch", "2", "--crop", "128", "--learning-rate", "1e-3"]
    for name in arguments.sets:
        train(arguments.shared, name, arguments.work, [*schedule, "--bf16", "--threads", str(arguments.threads)])
        dataset = arguments.shared / "data" / name
        if arguments.maps:
            bundle = arguments.work / f"efficientad-{name}-fp32.bundle"
            apart = maps_apart(arguments.work / f"{name}.onnx", bundle, dataset, arguments.threads)
            shown = ", ".join(f"{which} {auroc:.4f}" for which, auroc in apart.items())
            print(f"{name}: {shown}", flush=True)  # noqa: T201
        if not arguments.make_only:
            report("efficientad", name, dataset, arguments.work, arguments.threads)


if __name__ == "__main__":
    main()
