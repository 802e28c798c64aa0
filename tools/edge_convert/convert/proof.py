"""How a detector stands to the source model: scores of good parts, limits, departures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_convert.convert.labelled import compare_labelled
from edge_convert.convert.scoring import score_good
from edge_runtime.decision.parity import departures, measure

if TYPE_CHECKING:
    from edge_convert.convert.labelled import Labelled
    from edge_convert.convert.probes import Probes
    from edge_convert.convert.scoring import GoodScores
    from edge_convert.convert.source import ConvertOptions, ReferenceModel, SourceModel
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import ParityFigures, ParityLimits


@dataclass(frozen=True, slots=True)
class Work:
    """What stays the same through a conversion."""

    source: SourceModel
    reference: ReferenceModel
    images: ImageSet
    options: ConvertOptions
    limits: ParityLimits
    observer: Observer
    engine_description: str


@dataclass(frozen=True, slots=True)
class Proof:
    """How one detector stands to the reference."""

    detector: Detector
    good: GoodScores
    figures: ParityFigures
    labelled: Labelled | None
    beyond: tuple[str, ...]


def prove(work: Work, probes: Probes, detector: Detector) -> Proof:
    """Score, draw limits and compare.

    Raises:
        ConfigError: too few good images, or a score that is not finite.
        DatasetError: the labelled folder is not a dataset.
        EngineError: the engine failed.
    """
    good = score_good(work.images, detector, work.options, work.observer)
    figures = measure(probes.compare(detector), good.limits, probes.ruler, work.engine_description)
    labelled = None
    if work.options.dataset is not None:
        labelled = compare_labelled(
            work.options.dataset, work.reference, detector, work.source.input_spec, work.observer
        )
        figures = replace(figures, image_auroc_loss=labelled.image_loss, pixel_auroc_loss=labelled.pixel_loss)
    beyond = departures(figures, work.limits, None if labelled is None else labelled.pairs)
    return Proof(detector, good, figures, labelled, beyond)


def brief(figures: ParityFigures) -> str:
    """The figures behind a judgement, the same for equal inputs."""
    texts = [
        f"{label} {value:.3g}"
        for label, value in (
            ("drift of good parts, in spreads,", figures.good_drift),
            ("separation loss", figures.separation_loss),
            ("flips", float(figures.flips)),
            ("map correlation", figures.map_correlation),
        )
        if value is not None
    ]
    return ", ".join(texts)
