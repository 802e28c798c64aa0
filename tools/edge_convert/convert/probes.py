"""The images on which source and device are compared, with the source's answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_convert.defects import KINDS
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.images import load_image, spread
from edge_convert.naming import named
from edge_runtime.decision.parity import Answer, Pair, good_parts
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_convert.convert.source import ReferenceModel, SourceModel
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.decision.parity import GoodParts
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure

GOOD_PROBES: Final = 32
_DEFECTIVE_PROBES: Final = 24
_PLANTED_PROBES: Final = 12
_LOWEST_GOOD: Final = 3


@dataclass(frozen=True, slots=True)
class Probe:
    """One image with the source's answer."""

    name: str
    exposure: Exposure
    defective: bool
    reference: Answer
    sha256: str | None
    """Of the file; None for a planted defect."""


@dataclass(frozen=True, slots=True)
class Probes:
    """All of them, and the ruler that the good ones make."""

    items: tuple[Probe, ...]
    ruler: GoodParts
    planted_by_source: bool
    """False: only a recording of the source is there, so the float32 graph answered about planted defects for it; that
    graph is itself compared with the recording."""

    def compare(self, detector: Detector) -> list[Pair]:
        """Ask the device about every probe."""
        return [
            Pair(probe.name, probe.defective, probe.reference, answer_of(detector.inspect((probe.exposure,))))
            for probe in self.items
        ]


def answer_of(detection: Detection) -> Answer:
    """A detection as one side of a comparison."""
    return Answer(detection.score, detection.anomaly_map)


def gather(
    source: SourceModel,
    reference: ReferenceModel,
    images: ImageSet,
    dataset: Path | None,
    graph: Detector,
    observer: Observer,
    seed: int,
) -> Probes:
    """Choose images and ask the source about them.

    Args:
        source: for the inspected region.
        reference: the source model.
        images: good parts.
        dataset: labelled images, for real defects; None where there are none.
        graph: the float32 graph on the device's engine; speaks for a source that only a recording is left of.
        observer: who watches.
        seed: of the planted defects.

    Raises:
        ConfigError: the source has answers for fewer than three good images, or none of them is finite.
    """
    good, defects = _good(reference, images), _real_defects(reference, dataset)
    live = reference.covers(None)
    items: list[Probe] = []
    with observer.stage("asking the source model", len(good) + len(defects) + _PLANTED_PROBES) as stage:
        for path, defective in [*((path, False) for path in good), *((path, True) for path in defects)]:
            items.append(_of_file(path, reference, defective=defective))
            stage.advance()
        for turn in range(_PLANTED_PROBES):
            whole = load_image(good[turn * 5 % len(good)])
            exposure = source.plant(whole, seed + 1_000 + turn, turn % len(KINDS))
            found = reference.inspect(None, exposure) if live else graph.inspect((exposure,))
            items.append(Probe(f"planted defect {turn + 1}", exposure, True, answer_of(found), None))
            stage.advance()
    return Probes(tuple(items), _ruler(items), live)


def _good(reference: ReferenceModel, images: ImageSet) -> list[Path]:
    covered = [path for path in images.files if reference.covers(path)]
    if len(covered) < _LOWEST_GOOD:
        raise ConfigError(
            f"the reference has answers for {len(covered)} of the {len(images.files)} images in {images.folder}",
            "Record it again on the very files of that folder: they are matched by their SHA-256.",
        )
    return [covered[index] for index in spread(len(covered), GOOD_PROBES)]


def _real_defects(reference: ReferenceModel, dataset: Path | None) -> list[Path]:
    if dataset is None:
        return []
    found = [
        sample.path for sample in open_dataset(dataset).samples if sample.is_defect and reference.covers(sample.path)
    ]
    return [found[index] for index in spread(len(found), _DEFECTIVE_PROBES)] if found else []


def _of_file(path: Path, reference: ReferenceModel, *, defective: bool) -> Probe:
    exposure = load_image(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with named(path):
        answer = answer_of(reference.inspect(path, exposure))
    return Probe(path.name, exposure, defective, answer, digest)


def _ruler(items: Sequence[Probe]) -> GoodParts:
    try:
        return good_parts([probe.reference.score for probe in items if not probe.defective])
    except ValueError as error:
        raise ConfigError(
            "the source model gives scores of good parts that are not finite numbers",
            "Check the model and its preprocessing.",
        ) from error
