"""`add`: good parts into the memory bank of a finished bundle, in seconds and without the images it was taught from."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_convert.adding.growth import LARGEST_GROWTH, Growth, grow
from edge_convert.adding.proof import prove
from edge_convert.images import survey_watched
from edge_convert.seal import seal
from edge_runtime import __version__, detectors, engine
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.writer import MemoryPayloads, draft_of_manifest, manifest_of
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.adding.proof import Proved
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.bundles.writer import BundleDraft
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.verdict import Limits
    from edge_runtime.ops.clock import Clock


@dataclass(frozen=True, slots=True)
class AddOptions:
    """Arguments of `edge-convert add`."""

    bundle: Path
    images: Path
    out: Path
    engine: EngineSettings
    version: str | None = None
    """None: the bundle's, with the number of the addition behind it."""
    sample: bool = False
    """The images are an unselected sample of present production: draw the limits again."""


@dataclass(frozen=True, slots=True)
class AddedPart:
    """One part, before and after."""

    file: str
    before: float
    after: float
    unseen: float
    """Its score if only the other parts had been added."""
    disposition_before: str
    disposition_after: str


@dataclass(frozen=True, slots=True)
class AddReport:
    """What was done."""

    bundle: str
    digest: str
    version: str
    parts: tuple[AddedPart, ...]
    bank_before: int
    bank_after: int
    radius: float
    limits_before: Limits
    limits_after: Limits
    limits_method: str
    golden_left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def add(options: AddOptions, observer: Observer, clock: Clock) -> AddReport:
    """Write the bundle with a bank that also covers the given good parts.

    The present patches stay bit for bit, so that every distance can only fall: whatever passed still passes.

    Raises:
        ConfigError: no PatchCore bundle, no usable image, or a golden image would flip (nothing is written).
        BundleError: the bundle is damaged, or the new one does not reproduce itself.
        EngineError: the engine failed.
        ImageError: an image does not fit the bundle's input.
    """
    started_ns = clock.monotonic_ns()
    with load_inspector(options.bundle, options.engine, "development") as inspector:
        manifest = inspector.bundle
        _require_patchcore(manifest)
        images = survey_watched(options.images, observer)
        growth = grow(inspector, images, options.engine, observer, sample=options.sample)
        draft, payloads = _draft(inspector, options, images, growth)
        detector = _detector(draft, payloads, options.engine)
        proved = prove(manifest, growth.limits, detector, inspector.payloads, inspector.engine_description)
        after = [detector.inspect((images.load(index),)).score for index in range(len(images.files))]
    told = _parts(images, growth, after, manifest.calibration.limits)
    warnings = (*images.warnings, *_warnings(told, proved, growth))
    calibration = replace(growth.calibration, warnings=(*manifest.calibration.warnings, *warnings))
    draft = replace(draft, golden=proved.golden, reference=proved.reference, calibration=calibration)
    digest = seal(options.out, draft, payloads, options.engine)
    return AddReport(
        bundle=str(options.out),
        digest=digest,
        version=draft.version,
        parts=told,
        bank_before=growth.bank.size,
        bank_after=growth.size,
        radius=growth.radius,
        limits_before=manifest.calibration.limits,
        limits_after=growth.limits,
        limits_method=growth.method,
        golden_left_out=proved.left_out,
        warnings=warnings,
        seconds=(clock.monotonic_ns() - started_ns) / 1e9,
    )


def _require_patchcore(manifest: ModelBundle) -> None:
    if manifest.kind is not DetectorKind.PATCHCORE:
        raise ConfigError(
            f"bundle {manifest.identity.name} is a {manifest.kind.value} bundle, which has no memory bank to add to",
            "Train it again with the new good parts among the images.",
        )


def _detector(draft: BundleDraft, payloads: dict[str, bytes], settings: EngineSettings) -> Detector:
    """The bundle as a device would load it, before it is written."""
    return detectors.create(manifest_of(draft, payloads), MemoryPayloads(payloads), engine.create(settings))


def _draft(
    inspector: Inspector,
    options: AddOptions,
    images: ImageSet,
    growth: Growth,
) -> tuple[BundleDraft, dict[str, bytes]]:
    manifest = inspector.bundle
    number = 1 + sum(name.startswith("added_") for name in manifest.notes)
    what = (
        f"{len(images.files)} good parts (sha256 of names and contents {images.digest}), "
        f"{len(growth.added)} patches to {growth.bank.size}, by edge-convert {__version__} on "
        f"{inspector.engine_description}; limits {growth.method}"
    )
    search = growth.search(manifest)
    payloads = {name: inspector.payloads.read(name) for name in manifest.payloads} | dict(search.payloads)
    draft = replace(
        draft_of_manifest(manifest),
        graphs={**manifest.graphs, **search.graphs},
        parameters={**manifest.parameters, **search.parameters},
        version=options.version or f"{manifest.identity.version.partition('+')[0]}+{number}",
        created=_created(manifest, images),
        calibration=growth.calibration,
        golden=(),
        reference=None,
        revision=0,
        notes={**manifest.notes, f"added_{number}": what},
    )
    return draft, payloads


def _created(manifest: ModelBundle, images: ImageSet) -> str:
    """The newest of what it is made of: the same inputs are to give the same bundle."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(stated) if stated.isdigit() else images.newest_mtime_s
    return max(manifest.created, datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _parts(images: ImageSet, growth: Growth, after: list[float], old: Limits) -> tuple[AddedPart, ...]:
    return tuple(
        AddedPart(
            file=path.name,
            before=before,
            after=now,
            unseen=unseen,
            disposition_before=classify(before, old)[0].value,
            disposition_after=classify(now, growth.limits)[0].value,
        )
        for path, before, now, unseen in zip(images.files, growth.before, after, growth.unseen, strict=True)
    )


def _warnings(parts: tuple[AddedPart, ...], proved: Proved, growth: Growth) -> list[str]:
    found = []
    if far := [part.file for part in parts if part.disposition_before == "REJECT"]:
        listed = ", ".join(far[:10]) + (f" and {len(far) - 10} more" if len(far) > 10 else "")  # noqa: PLR2004
        found.append(f"these parts were far from every good part; look at them again, they count as good now: {listed}")
    if stopped := [part.file for part in parts if part.disposition_after != "PASS"]:
        found.append(f"{len(stopped)} added parts still do not pass: {', '.join(stopped[:10])}")
    if growth.full:
        found.append(f"the bank grew by its largest share of {LARGEST_GROWTH:.0%}: teach again from all good parts")
    if proved.silent:
        found.append(
            f"{proved.silent} answers of the source model were given with the smaller bank and are withdrawn; teach "
            "again for a full reference"
        )
    return found
