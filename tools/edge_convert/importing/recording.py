"""What a trained model said about images, recorded in its own framework.

A folder with `reference.json` = {"format": 0, "source": "anomalib 2.7.0, torch 2.13.0, float32", "images": [{"file":
"good/001.png", "sha256": "…", "label": "good", "score": 0.31, "map": "0001.npy"}]} and the maps, float32 `.npy`, H×W.
An image may also have `unclamped`: its score before the source cut it to 0…1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_convert.importing.documents import number, read_object
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from edge_runtime.domain.inspection import AnomalyMap

FILE_NAME = "reference.json"
_ACTION = "Record it again with the recorder of tools/model_families (record_reference.py)."
_MAP_RANK = 2
_CUT = (0.0, 1.0)
"""Scores that may have been cut there: good parts that are all cut to 0 tell at least their side."""
_ROUNDINGS = 4


@dataclass(frozen=True, slots=True)
class Recorded:
    """One image's answer."""

    file: str
    label: str
    score: float
    unclamped: float | None
    map_file: str | None

    @property
    def sharpest(self) -> float:
        """The score before its cut, where that is known."""
        return self.score if self.unclamped is None else self.unclamped

    @property
    def good(self) -> bool:
        """The recorder's label says that it is a good part."""
        return self.label == "good"


@dataclass(frozen=True, slots=True)
class Recording:
    """All answers, by the SHA-256 of the image file's bytes."""

    folder: Path
    source: str
    images: Mapping[str, Recorded]

    def of(self, path: Path) -> Recorded | None:
        """The answer for this file; None without one."""
        try:
            return self.images.get(hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError:
            return None

    def covered(self, paths: Iterable[Path]) -> tuple[Path, ...]:
        """Those files for which there is an answer."""
        return tuple(path for path in paths if self.of(path) is not None)

    def anomaly_map(self, image: Recorded) -> AnomalyMap | None:
        """The recorded map, H×W float32.

        Raises:
            ConfigError: its file is missing or no such array.
        """
        if image.map_file is None:
            return None
        path = self.folder / image.map_file
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"the recorded map {path} cannot be read: {error}", _ACTION) from error
        if values.ndim != _MAP_RANK or values.size == 0:
            raise ConfigError(f"the recorded map {path} has the shape {values.shape}, not H×W", _ACTION)
        return np.ascontiguousarray(values, dtype=np.float32)


def read_recording(folder: Path) -> Recording:
    """Read a recording.

    Raises:
        ConfigError: missing, damaged, of another format, without a finite score, or with one score for all images.
    """
    path = folder / FILE_NAME
    document = read_object(path, "the recorded reference")
    entries = document.get("images")
    if document.get("format") != 0 or not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path} is no recorded reference of format 0, or has no images", _ACTION)
    images = dict(_entry(entry, path) for entry in entries)
    _require_difference(tuple(images.values()), path)
    return Recording(folder, str(document.get("source", "unknown")), images)


def _require_difference(images: Sequence[Recorded], path: Path) -> None:
    """Refuse scores that differ by rounding alone: any graph that ignores its input would agree with them."""
    scores = [image.sharpest for image in images]
    finest = _ROUNDINGS * float(np.finfo(np.float32).eps) * max(map(abs, scores))
    cut = any(image.unclamped is None and image.score in _CUT for image in images)
    if len(images) > 1 and not cut and max(scores) - min(scores) <= finest:
        raise ConfigError(
            f"{path} gives all {len(images)} images the same score ({scores[0]:.6g}): nothing can be compared with it",
            "Look at the model in its own framework: it is not trained, its features vanish, or its normalisation "
            "found no spread. Record it again once its scores differ.",
        )


def _entry(entry: Any, path: Path) -> tuple[str, Recorded]:
    score = number(entry, "score") if isinstance(entry, dict) else None
    if score is None or not math.isfinite(score) or not isinstance(entry.get("sha256"), str):
        raise ConfigError(f"{path} has an image without sha256 or finite score: {entry!r}", _ACTION)
    map_file = entry.get("map")
    return entry["sha256"], Recorded(
        file=str(entry.get("file", "")),
        label=str(entry.get("label", "")),
        score=score,
        unclamped=number(entry, "unclamped"),
        map_file=map_file if isinstance(map_file, str) else None,
    )
