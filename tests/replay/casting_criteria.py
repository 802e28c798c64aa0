"""The published comparison of residual criteria on the casting set, made again.

    python tests/replay/casting_criteria.py --shared ../shared --work WORK --models ae vae dilated-vae

For each model: `edge-convert train autoencoder` on `train/good` (or the bundle that is already in WORK), which chooses
a criterion by defects planted on held-out good images; then every criterion on the test images. `--beside NAME=FILE`
adds another detector from the figures that `edge-convert eval --json FILE` wrote. First it says how alike test and
training images are.

The published F1 and accuracy belong together only if 46 to 58 % of the test images were defective, while 63 % are in
the set as it is distributed (and 70 % here, without the copies of training images). So each figure is given for the
images as they are, with the threshold of the best F1, and for good and defective images weighing the same, with the
threshold of the best accuracy (Youden's; columns ½). `AUROC, unlike` is over the third of the good test images that is
least like any training image. The last columns are of the residual smoothed by a Gaussian.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_convert.autoencoder.criteria import SIGMAS_PX, Measure, Wanted, judge, measure_images
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.metrics import f1_max, image_ap, image_auroc, roc_curve
from edge_convert.images import list_images, load_image
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors.reconstruction import ReconstructionDetector
from edge_runtime.engine import create as create_engine
from edge_runtime.vision.residual import Criterion, ResidualForm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_convert.evaluate.dataset import Dataset

PUBLISHED = {
    "published convolutional AE, range": (0.9548, 0.9570, 0.8812, 0.8760),
    "published convolutional AE, MSE": (0.7568, 0.7818, 0.6747, 0.6889),
}
"""AUROC, AUPRC, F1, accuracy."""
HEADING = (
    "| score | residual | anomalous | AUROC | AUPRC | F1 | accuracy | AUPRC ½ | F1 ½ | accuracy ½ "
    "| AUROC, unlike | at 1 px | at 2 px |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)
_THUMBNAIL_PX = 32


@dataclass(frozen=True, slots=True)
class Figures:
    """How one score separates the test images."""

    auroc: float
    auprc: float
    f1: float
    accuracy: float
    balanced_auprc: float
    balanced_f1: float
    balanced_accuracy: float

    def cells(self) -> str:
        """As columns of the table."""
        rates = (self.auroc, self.auprc, self.f1, self.accuracy)
        balanced = (self.balanced_auprc, self.balanced_f1, self.balanced_accuracy)
        return " | ".join(f"{value:.4f}" for value in (*rates, *balanced))


def figures_of(good: Sequence[float], defective: Sequence[float]) -> Figures:
    """All figures of one score, high meaning defective."""
    best = f1_max(good, defective)
    right = sum(score < best.threshold for score in good) + sum(score >= best.threshold for score in defective)
    curve = roc_curve(good, defective)
    false_rate, true_rate = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
    sure = true_rate + false_rate > 0
    precision = true_rate[sure] / (true_rate + false_rate)[sure]
    youden = int(np.argmax(true_rate - false_rate))
    hit, alarm = float(true_rate[youden]), float(false_rate[youden])
    return Figures(
        auroc=image_auroc(good, defective),
        auprc=image_ap(good, defective),
        f1=best.value,
        accuracy=right / (len(good) + len(defective)),
        balanced_auprc=float(np.sum(np.diff(true_rate[sure], prepend=0.0) * precision)),
        balanced_f1=2 * hit / (1 + hit + alarm),
        balanced_accuracy=(1 + hit - alarm) / 2,
    )


def criteria_lines(bundle: Path, dataset: Dataset, unlike: list[int], engine: EngineSettings) -> Iterator[str]:
    """One line per criterion and form of the residual as it is, best first, then the bundle's own choice."""
    with load_inspector(bundle, engine, "development") as inspector:
        manifest = replace(inspector.bundle, options={}, parameters={})  # so: the signed residual as it is
        detector = ReconstructionDetector(manifest, inspector.payloads, create_engine(engine))
        columns = []
        for defective in (False, True):
            paths = [sample.path for sample in dataset.samples if sample.is_defect is defective]
            frames = (load_image(path) for path in paths)
            columns.append(measure_images(detector.residual, frames, Wanted().measures(), lambda: None))
    judged = {one: judge(columns[0][one], columns[1][one], one) for one in columns[0]}
    plain = [one for one in judged.values() if one.measure.sigma_px == 0]
    own = Measure(
        Criterion(inspector.bundle.options["criterion"]),
        ResidualForm(inspector.bundle.options["residual"]),
        inspector.bundle.parameters["residual_sigma_px"],
    )
    for figure in [*sorted(plain, key=lambda one: -one.auroc), judged[own]]:
        measure = figure.measure
        good, bad = ([figure.sign * value for value in side[measure]] for side in columns)
        name = str(measure.criterion)
        if figure is judged[own]:
            name = f"**chosen without test images: {measure.criterion}, smoothed by {measure.sigma_px:g} px**"
        sense = "high" if figure.sign > 0 else "low"
        smoothed = (judged[measure._replace(sigma_px=sigma)] for sigma in SIGMAS_PX[1:])
        strange = image_auroc([good[index] for index in unlike], bad)
        softer = " | ".join(f"{one.auroc:.4f}" for one in smoothed)
        yield f"| {name} | {measure.form} | {sense} | {figures_of(good, bad).cells()} | {strange:.4f} | {softer} |"


def beside_line(name: str, file: Path) -> str:
    """A line for another detector, from the scores that eval wrote."""
    rows = [row for row in json.loads(file.read_text(encoding="utf-8"))["images"] if row["score"] is not None]
    good = [row["score"] for row in rows if row["label"] == "good"]
    bad = [row["score"] for row in rows if row["label"] != "good"]
    return f"| {name} | – | high | {figures_of(good, bad).cells()} | – | – | – |"


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike test and training images are: what a model gains by remembering."""

    text: str
    unlike: list[int]
    """The third of the good test images whose nearest training image is farthest, turned and mirrored ones included."""


def likeness(casting: Path, dataset: Dataset) -> Likeness:
    """Nearest training image of each test image, by the correlation of thumbnails, and what it alone tells apart."""
    train = _normed(_thumbnails(list_images(casting / "train" / "good")))
    nearest, turned, dark = {}, {}, {}
    for defective in (False, True):
        paths = [sample.path for sample in dataset.samples if sample.is_defect is defective]
        found = _thumbnails(paths)
        nearest[defective] = (_normed(found) @ train.T).max(axis=1)
        turned[defective] = np.max([(_normed(one) @ train.T).max(axis=1) for one in _turns(found)], axis=0)
        dark[defective] = -found.mean(axis=1)
    strange = np.argsort(turned[False])[: len(turned[False]) // 3]
    text = (
        f"Nearest training image by correlation of {_THUMBNAIL_PX}×{_THUMBNAIL_PX} thumbnails: median "
        f"{np.median(nearest[False]):.4f} for good and {np.median(nearest[True]):.4f} for defective test images "
        f"({np.median(turned[False]):.4f} and {np.median(turned[True]):.4f} if turned and mirrored ones count). "
        f"1 − correlation as a score: AUROC {image_auroc(1 - nearest[False], 1 - nearest[True]):.4f}. "
        f"Darkness of the whole image as a score: AUROC {image_auroc(dark[False], dark[True]):.4f}."
    )
    return Likeness(text, strange.tolist())


def _turns(thumbnails: np.ndarray) -> Iterator[np.ndarray]:
    square = thumbnails.reshape(-1, _THUMBNAIL_PX, _THUMBNAIL_PX)
    for quarter in range(4):
        turned = np.rot90(square, quarter, axes=(1, 2))
        yield turned.reshape(len(square), -1)
        yield turned[:, :, ::-1].reshape(len(square), -1)


def _thumbnails(paths: Sequence[Path]) -> np.ndarray:
    side = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    grey = (cv2.cvtColor(load_image(path), cv2.COLOR_RGB2GRAY) for path in paths)
    return np.stack([cv2.resize(one, side, interpolation=cv2.INTER_AREA).reshape(-1) for one in grey]).astype(float)


def _normed(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def train(model: str, options: argparse.Namespace, bundle: Path) -> str:
    """Train one model with the product's own command; the training in words."""
    summary = bundle.with_suffix(".json")
    command = [sys.executable, "-m", "edge_convert", "train", "autoencoder", options.good, "--model", model]
    command += ["--out", bundle, "--json", summary, "--size", options.size, "--width", options.width]
    command += ["--epochs", options.epochs, "--holdout", 0.1, "--threads", options.threads]
    command += ["--precision", options.precision]
    if bundle.with_suffix(".checkpoint").is_file():
        command.append("--resume")
    started = time.monotonic()
    subprocess.run([str(part) for part in command], check=True)
    report = json.loads(summary.read_text(encoding="utf-8"))
    return (
        f"{report['parameters'] / 1e6:.2f} million parameters, best after epoch {report['best_epoch']} of "
        f"{report['epochs']}, {report['hardware']}, trained {report['training_seconds'] / 60:.1f} min "
        f"(the command {(time.monotonic() - started) / 60:.1f} min)"
    )


def main() -> None:
    """Train what is missing and print the tables."""
    options = _arguments()
    casting = options.shared.resolve() / "data" / "casting"
    options.good = casting / "train" / "good"
    options.work.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(casting)
    alike = likeness(casting, dataset)
    _say(alike.text)
    for model in options.models:
        bundle = options.work / f"{model}.bundle"
        words = f"{bundle}, trained before" if bundle.is_file() else train(model, options, bundle)
        _say(f"\n## {model}\n\n{words}\n\n{HEADING}")
        engine = EngineSettings(name="onnxruntime", threads=options.threads)
        for line in criteria_lines(bundle, dataset, alike.unlike, engine):
            _say(line)
    _say(f"\n## beside\n\n{HEADING}")
    for name, published in PUBLISHED.items():
        _say(f"| {name} | – | – | " + " | ".join(f"{value:.4f}" for value in published) + " | – | – | – | – | – | – |")
    for entry in options.beside:
        name, _, file = entry.partition("=")
        _say(beside_line(name, Path(file)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="bundles and checkpoints; what is there is used")
    parser.add_argument("--models", nargs="*", default=["ae"], choices=["ae", "vae", "dilated-vae"])
    parser.add_argument("--size", default="128")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--beside", nargs="*", default=[], metavar="NAME=FILE")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
