"""`teach`: from a folder of good parts to a PatchCore bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_convert.agreement import compare_engines
from edge_convert.coreset import CoresetSize
from edge_convert.draft import PatchCoreParts
from edge_convert.golden import make_golden
from edge_convert.limits import limits_for, rate_warnings
from edge_convert.precision.features import choose_features
from edge_convert.seal import other_engines
from edge_convert.teaching.bank import collect, make_bank
from edge_convert.teaching.bank_size import choose_size
from edge_convert.teaching.cost import tile_cost
from edge_convert.teaching.finish import Taught, summarise, write
from edge_convert.teaching.material import announce, gather
from edge_convert.teaching.proof import prove
from edge_convert.teaching.screening import hold_out, screen
from edge_convert.teaching.source import build_source
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_convert.coreset import CandidatePatches
    from edge_convert.golden import GoldenSet
    from edge_convert.limits import ScoreLimits
    from edge_convert.options import TeachOptions
    from edge_convert.precision.features import FeaturesChoice
    from edge_convert.progress import Observer
    from edge_convert.report import TeachReport
    from edge_convert.teaching.bank import Bank
    from edge_convert.teaching.bank_size import BankSize
    from edge_convert.teaching.material import Material
    from edge_convert.teaching.proof import Proof
    from edge_convert.teaching.screening import Screening
    from edge_convert.teaching.source import Source
    from edge_runtime.ops.clock import Clock


def teach(options: TeachOptions, observer: Observer, clock: Clock) -> TeachReport:
    """Teach a bundle and write it; the same images, backbone, options and machine give the same bytes.

    The source is the float32 features graph with a bank of the same patches, in onnxruntime. INT8 that departs from it
    is given up. Nothing is written unless the finished bundle, opened as the daemon opens it, reproduces its golden
    images.

    Raises:
        ConfigError: an option, the images or the backbone cannot be used, or the bundle departs from its float32
            source farther than the parity limits allow.
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
    taught = _learn(material, choice, observer, clock)
    beyond = taught.proof.beyond
    if beyond and choice.precision != "fp32" and not options.allow_loss:
        choice = _in_float(material, choice, beyond)
        announce(choice.warnings[-1:], observer)
        taught = _learn(material, choice, observer, clock)
        beyond = taught.proof.beyond
    if beyond and not options.allow_loss:
        raise ConfigError(
            f"refused: on {material.engine.name} the bundle is not its float32 source: {'; '.join(beyond)}",
            "Teach with another --engine, or state the loss with --allow-loss.",
        )
    digest = write(taught)
    return summarise(taught, digest, (clock.monotonic_ns() - started_ns) / 1e9)


def _in_float(material: Material, choice: FeaturesChoice, beyond: tuple[str, ...]) -> FeaturesChoice:
    refusal = f"INT8 departs from float32 ({'; '.join(beyond)}), so the bundle stays in float32"
    plain = bytes(material.graph.model.SerializeToString())
    return replace(choice, model=plain, precision="fp32", kept=(), warnings=(*choice.warnings, refusal))


def _learn(material: Material, choice: FeaturesChoice, observer: Observer, clock: Clock) -> Taught:
    """Bank, limits, proof and golden images with one features graph."""
    parts = _parts(material, choice)
    candidates = collect(parts, material, observer)
    screening = screen(parts, candidates, material, observer)
    announce(screening.warnings, observer)
    sizing = None
    if material.options.auto_size:
        sizing, screening = _size_bank(parts, candidates, screening, observer, clock)
    material = screening.material
    found = _limits(screening, observer)
    bank = make_bank(candidates, material.options.coreset, material, observer)
    if material.area.count > 1:
        announce((tile_cost(parts, bank, material, clock),), observer)
    source = build_source(parts, choice.precision, candidates, bank, screening.held_out, material, observer)
    del candidates
    proof, golden = _prove(parts, bank, source, found, observer)
    return Taught(material, choice, parts, screening, sizing, found, bank, proof, golden)


def _size_bank(
    parts: PatchCoreParts, candidates: CandidatePatches, screening: Screening, observer: Observer, clock: Clock
) -> tuple[BankSize, Screening]:
    """Choose the bank's size, and score the held-out parts with banks of that size."""
    material = screening.material
    sizing = choose_size(parts, candidates, material, observer, clock, material.options.max_search_ms)
    announce((f"memory bank: {sizing.reason}", *sizing.warnings), observer)
    options = replace(material.options, coreset=CoresetSize.exactly(sizing.size))
    material = replace(material, options=options)
    held_out, rate = hold_out(parts, candidates, material, observer)
    return sizing, replace(screening, material=material, held_out=held_out, rate=rate)


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
    parts: PatchCoreParts, bank: Bank, source: Source, found: ScoreLimits, observer: Observer
) -> tuple[Proof, GoldenSet]:
    """Compare with float32 and the other engines, and choose the images by which a device proves itself."""
    material = source.material
    options, images = material.options, material.images
    detector = parts.detector(bank.search, material.engine)
    others = other_engines(options.engine, material.engine.name)
    agreement = compare_engines(parts, bank.search, detector, material.engine.name, others, images)
    proof = prove(source, detector, material.engine.description, agreement, found.limits, observer)
    golden = make_golden(
        images, material.area, found.limits, detector, proof, observer, each=options.golden, seed=options.seed
    )
    announce((*proof.agreement.warnings, *golden.warnings), observer)
    return proof, golden
