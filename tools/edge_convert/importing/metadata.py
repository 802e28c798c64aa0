"""`metadata.json`, which anomalib 0.x and 1.x write beside an export: thresholds, score range, and 0.x its transforms.

2.x writes none: there, all of it is inside the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_convert.importing.documents import number, numbers, read_object
from edge_convert.importing.stated import Stated
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Resize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME = "metadata.json"
_OPENCV = {0: Resize.NEAREST, 1: Resize.LINEAR, 2: Resize.CUBIC, 3: Resize.AREA}
_FULL_SCALE = 255.0


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(x − threshold) / width + 0.5: what anomalib makes of a raw score, before it cuts it to 0…1."""

    threshold: float
    width: float
    """Largest less smallest raw score of its validation images, > 0."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file says."""

    stated: Stated
    score: Normalisation | None
    anomaly_map: Normalisation | None
    threshold: float | None
    """Raw score from which 1.x calls an image anomalous."""


def read_metadata(path: Path) -> Metadata:
    """Read anomalib's metadata.

    Raises:
        ConfigError: unreadable, not JSON, or a transform that no bundle can apply.
    """
    document = read_object(path, "anomalib's metadata")
    image, pixel = number(document, "image_threshold"), number(document, "pixel_threshold")
    return Metadata(
        stated=_transform(document.get("transform"), path),
        score=_normalisation(document, image, "pred_scores."),
        anomaly_map=_normalisation(document, pixel, "anomaly_maps."),
        threshold=image,
    )


def _normalisation(document: Mapping[str, Any], threshold: float | None, prefix: str) -> Normalisation | None:
    low, high = number(document, prefix + "min"), number(document, prefix + "max")
    if low is None or high is None:  # before 1.1 maps and scores shared one range
        low, high = number(document, "min"), number(document, "max")
    if low is None or high is None or threshold is None or high <= low:
        return None
    return Normalisation(threshold, high - low)


def _transform(value: Any, path: Path) -> Stated:
    """Albumentations' own serialisation, of 0.x."""
    inner = value.get("transform") if isinstance(value, dict) else None
    steps = inner.get("transforms") if isinstance(inner, dict) else None
    if not isinstance(steps, list):
        return Stated()
    found = Stated(colour=ColourOrder.RGB, keep_fractions=False)
    for step in steps:
        if not isinstance(step, dict):
            raise ConfigError(f"{path} lists a transform that is none: {step!r}", "Correct the file.")
        name = str(step.get("__class_fullname__", "")).rsplit(".", 1)[-1]
        if name == "Resize":
            method = _OPENCV.get(step.get("interpolation", 1), Resize.LINEAR)
            size = _size(step, name, path)
            found = Stated(input_px=size, resized_px=size, fit=Fit.STRETCH, resize=method).over(found)
        elif name == "CenterCrop":
            found = Stated(input_px=_size(step, name, path)).over(found)
        elif name == "Normalize":
            largest = number(step, "max_pixel_value") or _FULL_SCALE
            found = Stated(
                scale=_FULL_SCALE / largest, mean=numbers(step.get("mean")), std=numbers(step.get("std"))
            ).over(found)
        elif name not in {"ToTensorV2", "ToFloat", "NoOp"}:
            raise ConfigError(
                f"{path} lists the transform {name!r}, which no bundle can apply",
                "State the preprocessing with --preprocess, or put it into the graph and export again.",
            )
    return found


def _size(step: Mapping[str, Any], name: str, path: Path) -> tuple[int, int]:
    """Height and width."""
    height, width = number(step, "height"), number(step, "width")
    if height is None or width is None or min(height, width) < 1:
        raise ConfigError(
            f"{path}: {name} has no height and width", "Correct the file, or state them with --preprocess."
        )
    return int(height), int(width)
