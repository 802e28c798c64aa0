"""What there is to import: a person's options, the export, the images, the recorded answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.evaluate.dataset import open_dataset
from edge_convert.images import survey_watched
from edge_convert.importing.causes import Scorer, witnesses_of
from edge_convert.importing.onnx_export import open_onnx
from edge_convert.importing.recording import read_recording
from edge_convert.importing.stated import Stated
from edge_convert.importing.transforms import read_transforms
from edge_convert.teaching.area import AreaOptions
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.residual import Criterion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_convert.convert.source import ConvertOptions
    from edge_convert.images import ImageSet
    from edge_convert.importing.exports import Export
    from edge_convert.importing.recording import Recording
    from edge_convert.progress import Observer

_WITNESSES: Final = 8
_LOWEST_SHARP: Final = 4


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person says about one import."""

    model: Path
    images: Path
    """Folder with good parts."""
    convert: ConvertOptions
    reference: Path | None = None
    """Folder with recorded answers of the trained model."""
    metadata: Path | None = None
    preprocess: Path | None = None
    stated: Stated = field(default_factory=Stated)
    """Flags; they win over every file."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    region: tuple[int, int, int, int] | None = None
    area: AreaOptions = field(default_factory=AreaOptions)
    """Tiles and mask."""
    source_limits: bool = False
    criterion: Criterion = Criterion.MSE
    """Of the residual, for a graph that gives a reconstruction."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known before the graph is made."""

    export: Export
    stated: Stated
    chosen: bool
    """A person or a preprocessing file says how to resize."""
    images: ImageSet
    recording: Recording | None
    scorer: Scorer | None
    """None without a recording that covers an image."""


def gather(options: ImportOptions, observer: Observer) -> Case:
    """Read everything that the import is about.

    Raises:
        ConfigError: a file cannot be used.
    """
    export = open_export(options.model, options.metadata)
    told = options.stated
    if options.preprocess is not None:
        told = told.over(read_transforms(options.preprocess))
    recording = None if options.reference is None else read_recording(options.reference)
    images = survey_watched(options.images, observer)
    for text in images.warnings:
        observer.notice(text)
    scorer = None if recording is None else _scorer(options, export, images, recording)
    return Case(export, told.over(export.stated), told.resize is not None, images, recording, scorer)


def _scorer(options: ImportOptions, export: Export, images: ImageSet, recording: Recording) -> Scorer | None:
    paths = list(images.files)
    if options.convert.dataset is not None:
        paths += [sample.path for sample in open_dataset(options.convert.dataset).samples if sample.is_defect]
    scores = {path: found.sharpest for path in paths if (found := recording.of(path)) is not None}
    sharp = {path: score for path, score in scores.items() if score not in {0.0, 1.0}}
    telling = sharp if len(sharp) >= _LOWEST_SHARP else scores
    witnesses = witnesses_of(telling, telling.get, _WITNESSES)
    good = [scores[path] for path in images.files if path in scores]
    if not witnesses or not good:
        return None
    return Scorer(export, options.outputs, witnesses, float(np.std(good)), options.region, options.criterion)


def open_export(model: Path, metadata: Path | None = None) -> Export:
    """Read a model file of any format that is known.

    Raises:
        ConfigError: unknown or unreadable.
    """
    match model.suffix.lower():
        case ".onnx":
            return open_onnx(model, metadata)
        case ".xml":
            from edge_convert.importing.openvino_export import open_ir  # noqa: PLC0415  (needs OpenVINO)

            return open_ir(model, metadata)
        case _:
            raise ConfigError(
                f"{model} is neither ONNX (.onnx) nor OpenVINO IR (.xml)",
                "Export the model in its own framework: a checkpoint cannot be read without it.",
            )
