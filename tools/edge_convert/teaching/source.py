"""The source of a taught bundle, float32 in onnxruntime, and its answers: what the bundle has to give on a device."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.defects import KINDS
from edge_runtime import engine
from edge_runtime.config.engine import EngineSettings
from edge_runtime.decision.parity import Answer, Pair, good_parts

if TYPE_CHECKING:
    from edge_convert.progress import Observer
    from edge_convert.teaching.learnt import Learnt
    from edge_convert.teaching.material import Material
    from edge_runtime.decision.parity import GoodParts
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure

_GOOD_PROBES: Final = 32
_PLANTED_PROBES: Final = 24
_PLANTED_SEED: Final = 7_000
_STANDS_OUT: Final = 4.0
"""Spreads above the median of good parts. A planted defect that the source hardly sees has no distance from them whose
change could be stated as a share: rounding alone changes it by a tenth."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An image with the source's answer."""

    image: int
    """Number in the set of good parts."""
    planted: int | None
    """Which defect is planted on it; None: none, it is a good part."""
    reference: Answer


@dataclass(frozen=True, slots=True)
class Source:
    """The float32 features graph with a bank of the very patches that the bundle's bank is made of."""

    detector: Detector
    description: str
    probes: tuple[Probe, ...]
    ruler: GoodParts
    material: Material

    def pairs(self, device: Detector) -> list[Pair]:
        """What the source and a device say about the probes."""
        return [
            Pair(
                self.material.images.files[probe.image].name,
                probe.planted is not None,
                probe.reference,
                answer_of(device.inspect((_frame(self.material, probe.image, probe.planted),))),
            )
            for probe in self.probes
        ]

    def file_scores(self) -> list[tuple[str, float]]:
        """SHA-256 and score of each good image that was asked about."""
        files = self.material.images.files
        return [
            (hashlib.sha256(files[probe.image].read_bytes()).hexdigest(), probe.reference.score)
            for probe in self.probes
            if probe.planted is None
        ]


def answer_of(detection: Detection) -> Answer:
    """A detection as one side of a comparison."""
    return Answer(detection.score, detection.anomaly_map)


def build_source(learnt: Learnt, observer: Observer) -> Source:
    """Ask what was learnt in float32, in onnxruntime, about good parts and planted defects.

    Raises:
        EngineError: onnxruntime cannot run the graph.
    """
    material = learnt.material
    runner = engine.create(EngineSettings(name="onnxruntime", threads=material.options.engine.threads))
    plain = replace(learnt.parts, features=bytes(material.graph.model.SerializeToString()))
    detector = plain.detector(learnt.bank.search, runner)
    # Parts that the bank had not seen are the ruler: those that it knows all score alike, about its covering radius.
    ruler = good_parts(learnt.screening.held_out.scores)
    probes = _ask(detector, ruler, material, observer)
    description = f"float32 features and memory bank, {runner.description}"
    return Source(detector, description, probes, ruler, material)


def _ask(detector: Detector, ruler: GoodParts, material: Material, observer: Observer) -> tuple[Probe, ...]:
    count = len(material.images.files)
    good = sorted({int(index) for index in np.linspace(0, count - 1, min(count, _GOOD_PROBES)).round()})
    probes = []
    with observer.stage("asking the float32 source", len(good) + _PLANTED_PROBES) as stage:
        for image in good:
            # The map of a part without anything on it is noise that no rounding keeps: its score alone is compared.
            probes.append(Probe(image, None, Answer(detector.inspect((_frame(material, image, None),)).score)))
            stage.advance()
        for turn in range(_PLANTED_PROBES):
            image = good[turn * 5 % len(good)]
            found = answer_of(detector.inspect((_frame(material, image, turn),)))
            if found.score - ruler.median > _STANDS_OUT * ruler.spread:
                probes.append(Probe(image, turn, found))
            stage.advance()
    return tuple(probes)


def _frame(material: Material, image: int, planted: int | None) -> Exposure:
    frame = material.images.load(image)
    if planted is None:
        return frame
    return material.area.plant(frame, material.options.seed + _PLANTED_SEED + planted, planted % len(KINDS))
