"""Rank candidate backbones on labelled image sets, fast: the way the generators, the task and the network were chosen.

A plain fp32 PatchCore on whole frames of 256x256: 3x3 average pooling, greedy coreset, largest patch distance. It is
not `edge-convert eval`; it takes half a minute per candidate where that takes minutes. Sets follow the folders
`train/good`, `test/good`, `test/<defect>`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_convert.coreset import CoresetSize, greedy_coreset
from edge_convert.evaluate.metrics import image_auroc

Floats: TypeAlias = NDArray[np.float32]
Extractor: TypeAlias = Callable[[Floats], list[Floats]]
"""1x3xHxW RGB in 0 to 1 to feature maps 1xCxhxw, finest first."""

SIZE_PX: Final = 256
MAX_TRAINING: Final = 320
FOLDS: Final = 4
_STRIDES: Final = (8, 16)
_SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".bmp"}


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The images of one set, N x 256 x 256 x 3 uint8 RGB each."""

    name: str
    train: NDArray[np.uint8]
    good: NDArray[np.uint8]
    defect: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Rank:
    """What one backbone reached on one set."""

    auroc: float
    """All training images in the bank, the set's own test images."""
    folded: float
    """Mean over several banks, each without a fold of the training images, which joins the good test images: with few
    good test images it moves less than `auroc`."""
    gap: float
    """(mean score of defects - mean score of good) / deviation of good, all training images in the bank: it still tells
    candidates apart where `auroc` is 1."""


def _read(paths: list[Path]) -> NDArray[np.uint8]:
    images = []
    for path in paths:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            message = f"{path} cannot be read"
            raise ValueError(message)
        small = cv2.resize(bgr, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
        images.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    return np.stack(images)


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def load_set(folder: Path) -> ImageSet:
    """Read a set; more than MAX_TRAINING training images are thinned evenly."""
    train = _images_in(folder / "train" / "good")
    step = -(-len(train) // MAX_TRAINING)
    kinds = sorted(kind for kind in (folder / "test").iterdir() if kind.name != "good")
    defects = [path for kind in kinds for path in _images_in(kind)]
    return ImageSet(folder.name, _read(train[::step]), _read(_images_in(folder / "test" / "good")), _read(defects))


def onnx_extractor(path: Path, layers: tuple[str, ...] = ()) -> Extractor:
    """Return the outputs of an ONNX backbone at strides 8 and 16, or those named."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    stated = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    mean, std = (
        np.array([float(part) for part in stated.get(key, other).split(",")], np.float32).reshape(1, 3, 1, 1)
        for key, other in (("input_mean", "0.485,0.456,0.406"), ("input_std", "0.229,0.224,0.225"))
    )
    name = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]

    def extract(image: Floats) -> list[Floats]:
        maps = dict(zip(names, session.run(None, {name: (image - mean) / std}), strict=True))
        wanted = {SIZE_PX // stride for stride in _STRIDES}
        kept = [maps[layer] for layer in layers] or [item for item in maps.values() if item.shape[2] in wanted]
        return sorted(kept, key=lambda item: -item.shape[2])

    return extract


def _pool(channels: Floats) -> Floats:
    """Average C x h x w over 3x3 neighbours with zeros beyond the border; return h x w x C."""
    height, width = channels.shape[1:]
    padded = np.pad(channels, ((0, 0), (1, 1), (1, 1)))
    total = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.ascontiguousarray(np.moveaxis(np.asarray(total, np.float32) / 9, 0, 2))


def _enlarge(rows: Floats, length: int) -> Floats:
    """Interpolate the first axis linearly, pixel centres aligned as in ONNX `half_pixel`."""
    place = np.clip((np.arange(length) + 0.5) * len(rows) / length - 0.5, 0, len(rows) - 1)
    low = place.astype(int)
    share = (place - low).astype(np.float32)[:, None, None]
    return np.asarray(rows[low] * (1 - share) + rows[np.minimum(low + 1, len(rows) - 1)] * share, np.float32)


def patches(maps: list[Floats]) -> Floats:
    """Return P x C patch features of one image: pooled, brought to the finest grid and stacked."""
    height, width = maps[0].shape[2:]
    columns = []
    for item in maps:
        pooled = _pool(item[0])
        if pooled.shape[:2] != (height, width):
            pooled = _enlarge(_enlarge(pooled, height).transpose(1, 0, 2), width).transpose(1, 0, 2)
        columns.append(pooled)
    return np.concatenate(columns, 2).reshape(height * width, -1)


def _features(images: NDArray[np.uint8], extract: Extractor) -> Floats:
    as_input = (image[None].transpose(0, 3, 1, 2).astype(np.float32) / 255 for image in images)
    return np.stack([patches(extract(image)) for image in as_input])


def _bank(rows: Floats, size: CoresetSize) -> Floats:
    return rows[greedy_coreset(rows, size.of(len(rows)), seed=0)]


def _scores(features: Floats, bank: Floats) -> NDArray[np.float64]:
    """Return the largest distance of a patch to the bank, per image."""
    norms = np.square(bank).sum(1)
    scores = []
    for rows in features:
        squared = np.square(rows).sum(1) + (norms[None] - 2 * rows @ bank.T).min(1)
        scores.append(float(np.sqrt(max(0.0, float(squared.max())))))
    return np.array(scores)


def rank(images: ImageSet, extract: Extractor, size: CoresetSize | None = None, folds: int = FOLDS) -> Rank:
    """Teach and test one backbone on one set; without folds `Rank.folded` is NaN."""
    size = size or CoresetSize()
    train, good, defect = (_features(part, extract) for part in (images.train, images.good, images.defect))
    width = train.shape[-1]
    centre = train.reshape(-1, width).mean(0)  # distances stay, fewer digits cancel in them
    train, good, defect = train - centre, good - centre, defect - centre
    bank = _bank(train.reshape(-1, width), size)
    clean, bad = _scores(good, bank), _scores(defect, bank)
    folded = []
    small = CoresetSize(size.fraction / 2, size.minimum // 2, size.maximum)  # half the bank: four of them must be quick
    for fold in range(folds):
        held = np.arange(len(train)) % folds == fold
        part_bank = _bank(train[~held].reshape(-1, width), small)
        fresh = np.concatenate([_scores(train[held], part_bank), _scores(good, part_bank)])
        folded.append(image_auroc(fresh, _scores(defect, part_bank)))
    gap = (bad.mean() - clean.mean()) / (clean.std() + 1e-9)
    return Rank(image_auroc(clean, bad), float(np.mean(folded)) if folded else float("nan"), float(gap))


def main() -> None:
    """Read the command line and print one line per backbone and set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbones", type=Path, nargs="+", help="ONNX files")
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of image sets")
    parser.add_argument("--layers", default="", help="comma-separated outputs; default: those at strides 8 and 16")
    parser.add_argument("--folds", type=int, default=FOLDS, help="0 leaves the slow figure out")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    layers = tuple(name for name in options.layers.split(",") if name)
    for folder in options.sets:
        images = load_set(folder)
        for path in options.backbones:
            started = time.process_time()
            found = rank(images, onnx_extractor(path, layers), folds=options.folds)
            sys.stdout.write(
                f"{images.name:14} {path.stem:34} auroc {found.auroc:.3f} folded {found.folded:.3f} "
                f"gap {found.gap:6.2f} ({time.process_time() - started:.0f} s)\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
