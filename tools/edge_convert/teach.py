"""`teach`: from a folder of good parts to a PatchCore bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_convert.agreement import compare_engines
from edge_convert.draft import PatchCoreParts
from edge_convert.golden import make_golden
from edge_convert.limits import limits_for, rate_warnings
from edge_convert.precision.features import choose_features
from edge_convert.seal import other_engines
from edge_convert.teaching.bank import collect, make_bank
from edge_convert.teaching.cost import tile_cost
from edge_convert.teaching.finish import Taught, summarise, write
from edge_convert.teaching.material import announce, gather
from edge_convert.teaching.screening import screen

if TYPE_CHECKING:
    from edge_convert.agreement import Agreement
    from edge_convert.golden import GoldenSet
    from edge_convert.limits import ScoreLimits
    from edge_convert.options import TeachOptions
    from edge_convert.precision.features import FeaturesChoice
    from edge_convert.progress import Observer
    from edge_convert.report import TeachReport
    from edge_convert.teaching.bank import Bank
    from edge_convert.teaching.material import Material
    from edge_convert.teaching.screening import Screening
    from edge_runtime.ops.clock import Clock


def teach(options: TeachOptions, observer: Observer, clock: Clock) -> TeachReport:
    """Teach a bundle and write it; the same images, backbone, options and machine give the same bytes.

    Nothing is written unless the finished bundle, opened as the daemon opens it, reproduces its golden images.

    Raises:
        ConfigError: an option, the images or the backbone cannot be used.
        EngineError: the engine is not there or cannot run the graphs.
        BundleError: the bundle cannot be written, or does not reproduce itself.
    """
    started_ns = clock.monotonic_ns()
    options.check()
    material = gather(options, observer)
    choice = choose_features(
        material.graph,
        material.network_images,
        material.area.whole,
        material.engine,
        clock,
        observer,
        int8=options.int8,
        seed=options.seed,
    )
    announce(choice.warnings, observer)
    parts = _parts(material, choice)
    candidates = collect(parts, material, observer)
    screening = screen(parts, candidates, material, observer)
    announce(screening.warnings, observer)
    material = screening.material
    found = _limits(screening, observer)
    bank = make_bank(candidates, options.coreset, material, observer)
    if material.area.count > 1:
        announce((tile_cost(parts, bank, material, clock),), observer)
    agreement, golden = _prove(parts, bank, found, material, observer)
    taught = Taught(material, choice, parts, screening, found, bank, agreement, golden)
    digest = write(taught)
    return summarise(taught, digest, (clock.monotonic_ns() - started_ns) / 1e9)


def _parts(material: Material, choice: FeaturesChoice) -> PatchCoreParts:
    return PatchCoreParts(
        name=material.options.name,
        version=material.options.version,
        created=material.created,
        area=material.area,
        features=choice.model,
        grid_height=material.graph.grid_height,
        grid_width=material.graph.grid_width,
    )


def _limits(screening: Screening, observer: Observer) -> ScoreLimits:
    """Limits from the scores of parts that the bank had not seen."""
    scores, rate = screening.held_out.scores, screening.rate
    found = limits_for(scores, rate)
    if screening.material.options.false_reject_rate is None:
        found = replace(found, warnings=(*rate_warnings(len(scores), rate), *found.warnings))
    announce(found.warnings, observer)
    return found


def _prove(
    parts: PatchCoreParts, bank: Bank, found: ScoreLimits, material: Material, observer: Observer
) -> tuple[Agreement, GoldenSet]:
    """Ask the other engines of this machine, and choose the images by which a device proves itself."""
    options, images = material.options, material.images
    detector = parts.detector(bank.search, material.engine)
    others = other_engines(options.engine, material.engine.name)
    agreement = compare_engines(parts, bank.search, detector, material.engine.name, others, images)
    golden = make_golden(
        images,
        material.area,
        found.limits,
        detector,
        agreement.detectors,
        observer,
        each=options.golden,
        seed=options.seed,
    )
    announce((*agreement.warnings, *golden.warnings), observer)
    return agreement, golden
