"""`teach`: from a folder of good parts to a PatchCore bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_convert.agreement import compare_engines
from edge_convert.coreset import CoresetSize
from edge_convert.golden import make_golden
from edge_convert.precision.features import FeaturesChooser, float_features
from edge_convert.seal import other_engines
from edge_convert.teaching.bank import collect, make_bank
from edge_convert.teaching.bank_size import choose_size
from edge_convert.teaching.cost import tile_cost
from edge_convert.teaching.finish import Taught, summarise, write
from edge_convert.teaching.learnt import Learnt, float_parts
from edge_convert.teaching.material import announce, gather
from edge_convert.teaching.proof import prove
from edge_convert.teaching.screening import hold_out, screen
from edge_convert.teaching.source import build_source
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_convert.coreset import CandidatePatches
    from edge_convert.draft import PatchCoreParts
    from edge_convert.options import TeachOptions
    from edge_convert.precision.features import FeaturesChoice
    from edge_convert.progress import Observer
    from edge_convert.report import TeachReport
    from edge_convert.teaching.bank_size import BankSize
    from edge_convert.teaching.material import Material
    from edge_convert.teaching.screening import Screening
    from edge_convert.teaching.source import Source
    from edge_runtime.ops.clock import Clock


_ATTEMPTS: Final = 3
"""At INT8 that keeps parity; each costs a pass over the images that own a patch of a bank."""


def teach(options: TeachOptions, observer: Observer, clock: Clock) -> TeachReport:
    """Teach a bundle and write it; the same images, backbone, options and machine give the same bytes.

    Everything is decided in float32; INT8 then sees the same patches. What it is held against, the source, is the
    float32 model in onnxruntime; INT8 that departs from it is given up. Nothing is written unless the finished bundle,
    opened as the daemon opens it, reproduces its golden images.

    Raises:
        ConfigError: an option, the images or the backbone cannot be used, or the bundle departs from its float32
            source farther than the parity limits allow.
        EngineError: the engine is not there or cannot run the graphs.
        BundleError: the bundle cannot be written, or does not reproduce itself.
    """
    started_ns = clock.monotonic_ns()
    options.check()
    material = gather(options, observer)
    chooser = _chooser(material, clock, observer) if options.int8 else None
    choice = chooser.choose() if chooser is not None else float_features(material.graph)
    announce(choice.warnings, observer)
    exact, candidates = _learn(material, choice, observer, clock)
    source = build_source(exact, observer)
    if chooser is not None and choice.precision != "fp32":
        taught = _in_int8(exact, candidates, source, chooser, observer)
    else:
        taught = _prove(exact, source, observer)
    del candidates
    beyond = taught.proof.beyond
    if beyond and not options.allow_loss:
        raise ConfigError(
            f"refused: on {material.engine.name} the bundle is not its float32 source: {'; '.join(beyond)}",
            "Teach with another --engine, or state the loss with --allow-loss.",
        )
    if material.area.count > 1:
        announce((tile_cost(taught.learnt.parts, taught.learnt.bank, material, clock),), observer)
    digest = write(taught)
    return summarise(taught, digest, (clock.monotonic_ns() - started_ns) / 1e9)


def _chooser(material: Material, clock: Clock, observer: Observer) -> FeaturesChooser:
    options, whole = material.options, material.area.whole
    return FeaturesChooser(
        material.graph, material.network_images, whole, material.engine, clock, observer, seed=options.seed
    )


def _in_int8(
    exact: Learnt, candidates: CandidatePatches, source: Source, chooser: FeaturesChooser, observer: Observer
) -> Taught:
    """INT8 that keeps parity, nearer to float32 with every attempt; float32 where none does and no loss is allowed."""
    learnt = exact
    for attempt in range(1, _ATTEMPTS + 1):
        taught = _prove(learnt.in_int8(candidates, observer), source, observer)
        if not taught.proof.beyond:
            return taught
        refusal = f"INT8 departs from float32 ({'; '.join(taught.proof.beyond)})"
        if attempt < _ATTEMPTS:
            announce((f"{refusal}: once more, with more of it in float32",), observer)
            choice = chooser.choose_nearer(taught.proof.missed)
            announce(choice.warnings, observer)
            learnt = replace(exact, choice=choice)
            if choice.precision == "fp32":
                break
    if source.material.options.allow_loss:
        return taught
    refusal += ", so the bundle stays in float32"
    announce((refusal,), observer)
    return _prove(learnt.without_int8(refusal), source, observer)


def _learn(
    material: Material, choice: FeaturesChoice, observer: Observer, clock: Clock
) -> tuple[Learnt, CandidatePatches]:
    """Decide in float32 which images, and which of their patches, make the bank."""
    parts = float_parts(material, choice)
    candidates = collect(parts, material, observer)
    screening = screen(parts, candidates, material, observer)
    announce(screening.warnings, observer)
    sizing = None
    if material.options.auto_size:
        sizing, screening = _size_bank(parts, candidates, screening, observer, clock)
    material = screening.material
    bank = make_bank(candidates, material.options.coreset, material, observer)
    return Learnt(choice, parts, screening, sizing, bank), candidates


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


def _prove(learnt: Learnt, source: Source, observer: Observer) -> Taught:
    """Compare with float32 and the other engines, and choose the images by which a device proves itself."""
    material, parts, found = learnt.material, learnt.parts, learnt.limits
    announce(found.warnings, observer)
    options, images = material.options, material.images
    detector = parts.detector(learnt.bank.search, material.engine)
    others = other_engines(options.engine, material.engine.name)
    agreement = compare_engines(parts, learnt.bank.search, detector, material.engine.name, others, images)
    proof = prove(source, detector, material.engine.description, agreement, found.limits, observer)
    golden = make_golden(
        images, material.area, found.limits, detector, proof, observer, each=options.golden, seed=options.seed
    )
    announce((*proof.agreement.warnings, *golden.warnings), observer)
    return Taught(learnt, found, proof, golden)
