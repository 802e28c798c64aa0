"""Teaching's coreset beside anomalib's on the same features: time, and the AUROC of banks of the same size.

    cd tools
    python -m bench.coreset features --images DATA/train/good --backbone resnet18.onnx --bank 2048 --out DIR
    ANOMALIB-ENV/bin/python -m bench.anomalib_coreset --features DIR/features.npy --bank 2048 --out DIR
    python -m bench.coreset compare --dataset DATA --backbone resnet18.onnx --out DIR

`features` times decoding with preparation, the network and the coreset of each seed, and keeps features and banks;
`compare` scores the labelled images with every bank, in float32 (largest distance of a patch, not reweighted), and
gives the difference by seed with its standard error. Wall and processor seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.coreset import greedy_coreset
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.metrics import image_auroc
from edge_convert.features import input_spec
from edge_convert.graphs import IMAGE, PATCHES, build_features
from edge_convert.images import list_images, load_image, spread
from edge_convert.search_graph import bank_of
from edge_runtime import engine
from edge_runtime.config.engine import EngineSettings
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.engine.port import Graph, Tensor

    Floats = npt.NDArray[np.float32]


class Stopwatch:
    """Wall and processor seconds by part."""

    def __init__(self) -> None:
        self.parts: dict[str, list[float]] = {}

    def of(self, part: str, work: Callable[[], Any]) -> Any:
        """Do it, and add its time to the part's."""
        wall, used = time.monotonic(), time.process_time()
        found = work()
        spent = self.parts.setdefault(part, [0.0, 0.0])
        spent[0] += time.monotonic() - wall
        spent[1] += time.process_time() - used
        return found


def extract(files: Sequence[Path], flags: argparse.Namespace, watch: Stopwatch) -> Floats:
    """N×P×C: the patches of each image."""
    backbone = load_backbone(flags.backbone, flags.size, flags.size, None, None)
    graph = build_features(backbone, choose_layers(backbone, ()))
    runner = engine.create(EngineSettings(name="openvino", threads=flags.threads))
    network = runner.load(graph.model.SerializeToString())
    spec = input_spec(flags.size, flags.size, None)
    patches = graph.grid_height * graph.grid_width
    found = np.empty((len(files), patches, graph.channels), dtype=np.float32)
    for number, path in enumerate(files):
        image = watch.of("decode_and_prepare", partial(_prepared, path, spec))
        found[number] = watch.of("features", partial(_run, network, image))
    return found


def _prepared(path: Path, spec: InputSpec) -> Tensor:
    return prepare(load_image(path), spec)


def _run(network: Graph, image: Tensor) -> Tensor:
    return network.run({IMAGE: image}, [PATCHES])[PATCHES]


def teach(flags: argparse.Namespace) -> dict[str, Any]:
    """Features and one bank for each seed, into the folder."""
    files = list_images(flags.images)
    files = tuple(files[index] for index in spread(len(files), flags.limit or len(files)))
    watch = Stopwatch()
    found = extract(files, flags, watch)
    rows = _candidates(found, flags.candidates)
    flags.out.mkdir(parents=True, exist_ok=True)
    np.save(flags.out / "features.npy", rows)
    runs = []
    for seed in range(flags.seeds):
        one = Stopwatch()
        chosen = one.of("coreset", partial(greedy_coreset, rows, flags.bank, seed))
        np.save(flags.out / f"ours-{seed}.npy", chosen)
        runs.append({"seed": seed, "wall_s": one.parts["coreset"][0], "cpu_s": one.parts["coreset"][1]})
    return {"images": len(files), "rows": len(rows), "bank": flags.bank, "parts_wall_cpu_s": watch.parts, "runs": runs}


def _candidates(found: Floats, wanted: int | None) -> Floats:
    """N×C: all patches, or so many of them, as many from each image."""
    each = found.shape[1] if wanted is None else max(1, min(found.shape[1], wanted // len(found)))
    draw = np.random.default_rng(0)
    return np.concatenate([image[np.sort(draw.choice(len(image), each, replace=False))] for image in found])


def compare(flags: argparse.Namespace) -> dict[str, Any]:
    """AUROC of every bank in the folder, and the difference seed by seed."""
    samples = open_dataset(flags.dataset, flags.limit).samples
    tested = extract([sample.path for sample in samples], flags, Stopwatch())
    defective = np.array([sample.is_defect for sample in samples])
    rows = np.load(flags.out / "features.npy", mmap_mode="r")
    aurocs: dict[str, list[float]] = {"ours": [], "anomalib": []}
    reach: dict[str, list[float]] = {"ours": [], "anomalib": []}
    for seed in range(flags.seeds):
        for side, found in aurocs.items():
            bank = bank_of(np.ascontiguousarray(rows[np.load(flags.out / f"{side}-{seed}.npy")]))
            scores = np.array([bank.distances(patches).max() for patches in tested])
            found.append(image_auroc(scores[~defective], scores[defective]))
            reach[side].append(float(max(bank.distances(np.asarray(part)).max() for part in np.array_split(rows, 64))))
    gain = np.subtract(aurocs["ours"], aurocs["anomalib"])
    error = float(gain.std(ddof=1) / len(gain) ** 0.5)
    return {
        "images": [int((~defective).sum()), int(defective.sum())],
        "auroc": aurocs,
        "covering_radius": reach,
        "difference": {"mean": float(gain.mean()), "standard_error": error},
    }


def main() -> None:
    """Do what was asked and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("features", "compare"))
    parser.add_argument("--images", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--bank", type=int, default=2_048)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--limit", type=int, help="so many images, evenly over all")
    parser.add_argument("--candidates", type=int, help="so many patches to choose from; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    flags = parser.parse_args()
    document = teach(flags) if flags.what == "features" else compare(flags)
    text = json.dumps(document, indent=1)
    (flags.out / f"{flags.what}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
