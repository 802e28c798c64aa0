"""`teach`: from a folder of good parts to a PatchCore bundle."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge_convert.agreement import compare_engines
from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.coreset import CandidatePatches, greedy_coreset
from edge_convert.draft import PatchCoreParts
from edge_convert.features import FeatureExtractor, SharedGraphs, input_spec
from edge_convert.golden import TOLERANCE_NOTE, make_golden
from edge_convert.graphs import build_features, build_search
from edge_convert.holdout import plan_folds, score_held_out
from edge_convert.images import list_images, survey
from edge_convert.limits import LOWEST_COUNT, limits_for, rate_warnings, usual_rate
from edge_convert.precision import choose_features
from edge_convert.report import TeachReport
from edge_convert.seal import other_engines, seal
from edge_runtime import __version__, engine
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Calibration

if TYPE_CHECKING:
    from edge_convert.backbone import Backbone, Layer
    from edge_convert.golden import GoldenSet
    from edge_convert.graphs import FeatureGraph
    from edge_convert.holdout import HeldOut
    from edge_convert.images import ImageSet
    from edge_convert.limits import ScoreLimits
    from edge_convert.options import TeachOptions
    from edge_convert.precision import FeaturesChoice
    from edge_convert.progress import Observer
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.ops.clock import Clock

_CANDIDATES_LIMIT: Final = 327_680
"""Candidate patches for the bank: those of 320 images of 32×32 patches."""
_CANDIDATES_BYTES: Final = 1 << 29
"""Wide features get fewer candidates, so that teaching stays within 4 GB."""


@dataclass(frozen=True, slots=True)
class _Material:
    """What is there before anything is learnt."""

    images: ImageSet
    backbone: Backbone
    layers: tuple[Layer, ...]
    graph: FeatureGraph
    engine: SharedGraphs


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
    material = _gather(options, observer)
    spec = input_spec(options.height_px, options.width_px, options.region)
    choice = choose_features(
        material.graph, material.images, spec, material.engine, clock, observer, int8=options.int8, seed=options.seed
    )
    _announce(choice.warnings, observer)
    parts = _parts(options, material, spec, choice)
    candidates = _collect(parts, material, options, observer)
    rate = options.false_reject_rate or usual_rate(len(material.images.files))
    folds = plan_folds(len(material.images.files), rate, options.holdout, options.seed)
    held_out = score_held_out(
        parts, candidates, options.coreset, material.images, folds, material.engine, observer, options.seed
    )
    found = _limits(held_out, rate, options)
    _announce(found.warnings, observer)
    bank, search = _refit(parts, candidates, material, options, observer)
    detector = parts.detector(search, material.engine)
    others = other_engines(options.engine, material.engine.name)
    agreement = compare_engines(parts, search, detector, material.engine.name, others, material.images)
    golden = make_golden(
        material.images,
        spec,
        found.limits,
        detector,
        agreement.detectors,
        observer,
        each=options.golden,
        seed=options.seed,
    )
    _announce((*agreement.warnings, *golden.warnings), observer)
    notices = (*material.backbone.notices, *material.images.warnings)
    warnings = (*notices, *choice.warnings, *found.warnings, *agreement.warnings, *golden.warnings)
    draft = parts.draft(
        Calibration(found.limits, held_out.scores, found.rate, held_out.map_range, warnings),
        golden.images,
        _notes(options, material, choice, found, held_out, bank),
        agreement.engines,
    )
    digest = seal(options.out, draft, parts.payloads(search) | golden.payloads, options.engine)
    return _report(options, material, choice, found, held_out, golden, bank, warnings, digest, clock, started_ns)


def _parts(options: TeachOptions, material: _Material, spec: InputSpec, choice: FeaturesChoice) -> PatchCoreParts:
    return PatchCoreParts(
        name=options.name,
        version=options.version,
        created=_created(options, material.images),
        input_spec=spec,
        features=choice.model,
        grid_height=material.graph.grid_height,
        grid_width=material.graph.grid_width,
    )


def _limits(held_out: HeldOut, rate: float, options: TeachOptions) -> ScoreLimits:
    found = limits_for(held_out.scores, rate)
    if options.false_reject_rate is not None:
        return found
    return replace(found, warnings=(*rate_warnings(len(held_out.scores), rate), *found.warnings))


def _gather(options: TeachOptions, observer: Observer) -> _Material:
    runner = SharedGraphs(engine.create(options.engine))
    backbone = load_backbone(options.backbone, options.height_px, options.width_px, options.mean, options.std)
    layers = choose_layers(backbone, options.layers)
    graph = build_features(backbone, layers)
    with observer.stage("checking images", len(list_images(options.images))) as stage:
        images = survey(options.images, stage.advance)
    _announce((*backbone.notices, *images.warnings), observer)
    if len(images.files) < LOWEST_COUNT:
        raise ConfigError(
            f"{options.images} holds {len(images.files)} usable images; a model cannot be taught from them",
            f"Record at least {LOWEST_COUNT} good parts, better 100: `edge-runtime capture` does it on the line.",
        )
    return _Material(images, backbone, layers, graph, runner)


def _announce(texts: tuple[str, ...], observer: Observer) -> None:
    for text in texts:
        observer.notice(text)


def _created(options: TeachOptions, images: ImageSet) -> str:
    """The state of the inputs, not the time of day: the same inputs are to give the same bundle."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(stated) if stated.isdigit() else max(images.newest_mtime_s, int(options.backbone.stat().st_mtime))
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _collect(parts: PatchCoreParts, material: _Material, options: TeachOptions, observer: Observer) -> CandidatePatches:
    count = len(material.images.files)
    capacity = min(_CANDIDATES_LIMIT, _CANDIDATES_BYTES // (4 * material.graph.channels))
    patches = parts.grid_height * parts.grid_width
    candidates = CandidatePatches(count, patches, material.graph.channels, capacity, options.seed)
    extractor = FeatureExtractor(material.engine.load(parts.features), parts.input_spec)
    with observer.stage("features", count) as stage:
        for index in range(count):
            candidates.add(index, extractor.patches(material.images.load(index)))
            stage.advance()
    return candidates


def _refit(
    parts: PatchCoreParts,
    candidates: CandidatePatches,
    material: _Material,
    options: TeachOptions,
    observer: Observer,
) -> tuple[int, bytes]:
    """The bank of all images, and its search graph."""
    patches = parts.grid_height * parts.grid_width
    size = options.coreset.of(len(material.images.files) * patches)
    rows = candidates.rows()
    with observer.stage("memory bank of all images", size) as stage:
        done = 0

        def follow(chosen: int) -> None:
            nonlocal done
            stage.advance(chosen - done)
            done = chosen

        bank = rows[greedy_coreset(rows, size, options.seed, follow)]
    return len(bank), build_search(bank, patches)


def _notes(
    options: TeachOptions,
    material: _Material,
    choice: FeaturesChoice,
    found: ScoreLimits,
    held_out: HeldOut,
    bank: int,
) -> dict[str, str]:
    backbone = material.backbone
    return {
        "converter": f"edge-convert {__version__}",
        "backbone": f"{backbone.file_name} sha256 {backbone.digest}",
        "layers": ", ".join(layer.name for layer in material.layers),
        "normalisation": f"mean {backbone.mean}, std {backbone.std} of pixels in 0…1, RGB, inside the graph",
        "images": f"{len(material.images.files)} good, sha256 of names and contents {material.images.digest}",
        "precision": choice.precision if choice.parity is None else f"{choice.precision}; {choice.parity}",
        "memory_bank": f"{bank} patches, greedy k-centre coreset, seed {options.seed}",
        "limits": f"{found.method}; {held_out.method}; the bank was then made of all images",
        "golden_tolerance": TOLERANCE_NOTE,
        "taught_on": material.engine.description,
    }


def _report(
    options: TeachOptions,
    material: _Material,
    choice: FeaturesChoice,
    found: ScoreLimits,
    held_out: HeldOut,
    golden: GoldenSet,
    bank: int,
    warnings: tuple[str, ...],
    digest: str,
    clock: Clock,
    started_ns: int,
) -> TeachReport:
    return TeachReport(
        bundle=str(options.out),
        digest=digest,
        size_bytes=options.out.stat().st_size,
        images=len(material.images.files),
        input_px=(options.height_px, options.width_px),
        layers=tuple(layer.name for layer in material.layers),
        bank=bank,
        channels=material.graph.channels,
        precision=choice.precision,
        parity=choice.parity,
        fp32_ms=choice.fp32_ms,
        int8_ms=choice.int8_ms,
        engine=material.engine.description,
        review_limit=found.limits.review,
        reject_limit=found.limits.reject,
        limits_method=found.method,
        false_reject_rate=found.rate,
        held_out=len(held_out.scores),
        golden=len(golden.images),
        engine_drift=golden.largest_engine_drift,
        warnings=warnings,
        seconds=(clock.monotonic_ns() - started_ns) / 1e9,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )
