"""Test images, their labels and their masks, found by folder convention."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.images import SUFFIXES
from edge_runtime.domain.errors import Blame, EdgeError
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_convert.evaluate.pixels import Mask

GOOD = "good"
_CONVENTION = (
    "Lay the images out as test/good and test/<defect>, with masks in ground_truth/<defect>/<name>_mask.png where you "
    "have them; or as good/ beside folders of defects."
)


class DatasetError(EdgeError):
    """The folder is not a dataset that can be evaluated."""

    blame = Blame.OPERATOR


@dataclass(frozen=True, slots=True)
class Sample:
    """One test image."""

    path: Path
    file: str
    """Relative to the dataset, with forward slashes."""
    label: str
    """`good`, or the name of the defect's folder."""
    mask: Path | None
    """Its ground truth; always None for good parts, which have no defect to outline."""

    @property
    def is_defect(self) -> bool:
        """True unless the part is good."""
        return self.label != GOOD


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is going to be evaluated."""

    root: Path
    samples: tuple[Sample, ...]
    """Good parts first, then defect by defect, each by file name."""
    found: int
    """Images in the folder; more than `samples` if they were limited."""
    has_ground_truth: bool
    """Any sample has a mask: pixel figures are possible."""

    def counts(self) -> dict[str, int]:
        """Images per label, in the order of the samples."""
        return dict(Counter(sample.label for sample in self.samples))

    def without_mask(self) -> dict[str, int]:
        """Defective images without a mask, per label."""
        return dict(Counter(sample.label for sample in self.samples if sample.is_defect and sample.mask is None))


def open_dataset(root: Path, limit: int | None = None) -> Dataset:
    """Find the test images under `root`.

    Args:
        root: MVTec convention (test/good, test/<defect>, ground_truth/<defect>/<name>_mask.png; `train` is not
            touched), or the plain form: `good` beside any number of folders of defects.
        limit: at most this many images, spread evenly over the labels and over each folder; the same every time.

    Raises:
        DatasetError: no such folder, no good or no defective images; says what was found and how to lay it out.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder", f"Name the dataset's folder. {_CONVENTION}")
    images = root / "test" if (root / "test").is_dir() else root
    samples = tuple(_samples(root, images))
    labels = sorted({sample.label for sample in samples})
    if GOOD not in labels:
        found = f"only {', '.join(labels)}" if labels else "no folder with images"
        raise DatasetError(f"{images} holds no folder `good` with images ({found})", _CONVENTION)
    if labels == [GOOD]:
        raise DatasetError(f"{images} holds good parts only: nothing can be told apart", _CONVENTION)
    chosen = samples if limit is None else _spread(samples, limit)
    return Dataset(root, chosen, len(samples), any(sample.mask is not None for sample in chosen))


def load_mask(path: Path) -> Mask:
    """Read a mask: true wherever any channel is above 0.

    Returns:
        H×W bool.

    Raises:
        ImageError: the file cannot be decoded.
        OSError: the file cannot be read.
    """
    pixels = decode_image(path.read_bytes()).array
    return np.asarray(pixels > 0 if pixels.ndim == 2 else (pixels > 0).any(axis=2))  # noqa: PLR2004 (mono)


def _samples(root: Path, images: Path) -> Iterator[Sample]:
    plain = images == root
    folders = [entry for entry in images.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    for folder in sorted(folders, key=lambda entry: (entry.name != GOOD, entry.name)):
        if plain and folder.name in {"ground_truth", "train"}:
            continue
        truth = root / "ground_truth" / folder.name
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith("."):
                mask = None if folder.name == GOOD else _mask_of(path, folder, truth)
                yield Sample(path, path.relative_to(root).as_posix(), folder.name, mask)


def _mask_of(path: Path, folder: Path, truth: Path) -> Path | None:
    beside = truth / path.relative_to(folder).parent
    candidates = (beside / f"{path.stem}_mask.png", beside / f"{path.stem}.png")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _spread(samples: Sequence[Sample], limit: int) -> tuple[Sample, ...]:
    """At most `limit` samples: labels take turns, and each label's choice is spread evenly over its folder."""
    by_label: dict[str, list[Sample]] = {}
    for sample in samples:
        by_label.setdefault(sample.label, []).append(sample)
    share = dict.fromkeys(by_label, 0)
    while sum(share.values()) < min(limit, len(samples)):
        open_labels = [label for label, owned in by_label.items() if share[label] < len(owned)]
        for label in open_labels[: limit - sum(share.values())]:
            share[label] += 1
    return tuple(
        owned[index * len(owned) // share[label]] for label, owned in by_label.items() for index in range(share[label])
    )
