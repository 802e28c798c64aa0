"""INT8 beside float32 with a memory bank of a given size: AUROC of both on the same labelled images, on both engines.

    cd tools
    python -m bench.int8_bank --backbone resnet18.onnx --train DATA/train/good --test DATA --bank 16384 --json x.json

The bank is chosen once, in float32; INT8 sees the same patches, as `edge-convert teach` does it. INT8 is what `teach`
takes by its probes, with the operations that its search keeps in float32. Where the finished bundle departs from
float32 all the same, `teach` goes nearer or stays in float32; not so here. `--scores-only` draws no maps.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from edge_convert.convert.labelled import compare_labelled
from edge_convert.coreset import CoresetSize
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.holdout import HeldOut
from edge_convert.images import list_images, spread
from edge_convert.options import TeachOptions
from edge_convert.precision.features import FeaturesChooser, float_features
from edge_convert.progress import Silent
from edge_convert.teaching.bank import collect, make_bank
from edge_convert.teaching.learnt import float_parts
from edge_convert.teaching.material import gather
from edge_convert.teaching.rounded import say_again
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors.port import Detection
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.draft import PatchCoreParts
    from edge_convert.exact_search import SearchPayloads
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle

_ENGINES: Final[tuple[Literal["onnxruntime", "openvino"], ...]] = ("onnxruntime", "openvino")


class _Exact:
    """The float32 detector as the side that INT8 is compared with."""

    description = "float32"

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def covers(self, path: Path | None) -> bool:
        """Any image."""
        del path
        return True

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:
        """See `ReferenceModel`."""
        del path
        return self._detector.inspect((exposure,))


class _ScoresOnly:
    """A detector without its map, which costs more than the score."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    @property
    def bundle(self) -> ModelBundle:
        """See `Detector`."""
        return self._detector.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See `Detector`."""
        return Detection(self._detector.inspect(exposures).score, None)


def main() -> None:
    """Print and write one set's figures."""
    flags = _flags()
    with tempfile.TemporaryDirectory() as folder:
        train, test = _some(flags.train, flags.train_limit, Path(folder) / "train"), flags.test
        if flags.test_limit is not None:
            test = _some_labelled(flags.test, flags.test_limit, Path(folder) / "test")
        document = measure(flags, train, test)
    text = json.dumps(document, indent=1)
    sys.stdout.write(text + "\n")
    if flags.json is not None:
        flags.json.write_text(text, encoding="utf-8")


def measure(flags: argparse.Namespace, train: Path, test: Path) -> dict[str, Any]:
    """Teach both precisions and compare them."""
    options = TeachOptions(
        images=train,
        backbone=flags.backbone,
        out=Path(tempfile.gettempdir()) / "unused.bundle",
        name="int8-bank",
        height_px=flags.size,
        width_px=flags.size,
        engine=EngineSettings(name="openvino", threads=flags.threads),
        coreset=CoresetSize.exactly(flags.bank),
    )
    began = time.monotonic()
    material = gather(options, Silent())
    exact = float_parts(material, float_features(material.graph))
    candidates = collect(exact, material, Silent())
    bank = make_bank(candidates, options.coreset, material, Silent())
    chooser = FeaturesChooser(
        material.graph, material.images, material.area.whole, material.engine, SystemClock(), Silent(), seed=0
    )
    choice = chooser.choose()
    rounded = replace(exact, features=choice.model)
    again, _ = say_again(rounded, candidates, bank, HeldOut((), (0.0, 1.0), ""), material, Silent())
    return {
        "images": len(material.images.files),
        "patches": len(candidates.rows()),
        "bank": len(bank.rows),
        "precision": choice.precision,
        "kept_in_float32": len(choice.kept),
        "taught_s": time.monotonic() - began,
        "figures": [
            _figures(name, flags, (exact, bank.search), (rounded, again.search), test)
            for name in flags.engine or _ENGINES
        ],
    }


def _figures(
    name: Literal["onnxruntime", "openvino"],
    flags: argparse.Namespace,
    exact: tuple[PatchCoreParts, SearchPayloads],
    rounded: tuple[PatchCoreParts, SearchPayloads],
    test: Path,
) -> dict[str, Any]:
    runner = engines.create(EngineSettings(name=name, threads=flags.threads))
    plain, device = (parts.detector(search, runner) for parts, search in (exact, rounded))
    if flags.scores_only:
        plain, device = _ScoresOnly(plain), _ScoresOnly(device)
    found = compare_labelled(test, _Exact(plain), device, exact[0].input_spec, Silent())
    return {"engine": runner.description, **asdict(found)}


def _some(folder: Path, limit: int | None, target: Path) -> Path:
    """Some of the images, evenly over all."""
    if limit is None:
        return folder
    target.mkdir()
    files = list_images(folder)
    for index in spread(len(files), limit):
        (target / files[index].name).symlink_to(files[index].resolve())
    return target


def _some_labelled(dataset: Path, limit: int, target: Path) -> Path:
    """Some of the labelled images with their masks, labels in turn."""
    for sample in open_dataset(dataset, limit).samples:
        label = target / "test" / sample.label
        label.mkdir(parents=True, exist_ok=True)
        (label / sample.path.name).symlink_to(sample.path.resolve())
        if sample.mask is not None:
            truth = target / "ground_truth" / sample.label
            truth.mkdir(parents=True, exist_ok=True)
            (truth / sample.mask.name).symlink_to(sample.mask.resolve())
    return target


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True, help="good parts")
    parser.add_argument("--test", type=Path, required=True, help="labelled images in MVTec's folders")
    parser.add_argument("--bank", type=int, default=16_384)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", action="append", choices=_ENGINES, help="repeatable; default: both")
    parser.add_argument("--scores-only", action="store_true")
    parser.add_argument("--train-limit", type=int)
    parser.add_argument("--test-limit", type=int)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
