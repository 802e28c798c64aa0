"""The check of parity, wherever the bundle is: on its golden images, and on the reference images that are at hand."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_convert.images import SUFFIXES, load_image
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.decision.parity import Answer, GoodParts, Pair, departures, measure
from edge_runtime.domain.errors import BundleError, ConfigError, EngineError, ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_convert.progress import Observer
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.bundles.selftest import SelfTestReport
    from edge_runtime.domain.model_bundle import ParityFigures, Reference


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What the check found."""

    bundle: str
    digest: str
    engine: str
    source: str
    golden: SelfTestReport
    files: ParityFigures | None
    """On reference images found in the folders; None where no folder was named."""
    beyond: tuple[str, ...]
    """What lies beyond the bundle's limits, golden images and files together; empty: parity holds."""
    missing: int
    """Reference images that the folders do not hold."""
    allowed: tuple[str, ...]
    """Departures that were allowed when the bundle was made."""

    @property
    def holds(self) -> bool:
        """The bundle gives the source model's verdicts here."""
        return self.golden.passed and not self.beyond

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "holds": self.holds}


def check_parity(inspector: Inspector, folders: Sequence[Path], observer: Observer) -> ParityReport:
    """Compare this device with the source model.

    Args:
        inspector: the bundle on the engine in question.
        folders: searched, with their subfolders, for the reference images that the bundle does not carry.
        observer: who watches.

    Raises:
        BundleError: the bundle carries no reference, or is damaged.
        ConfigError: a folder is not there, or holds none of the images.
        ImageError: a file in a folder cannot be read, so that nobody knows whether it is one of them.
    """
    bundle = inspector.bundle
    reference = bundle.reference
    if reference is None:
        raise BundleError(
            f"bundle {bundle.identity.name} carries no reference: it was made by edge-convert 0.1",
            "Make it again with this version; until then `edge-convert eval` shows its golden images.",
        )
    golden = golden_self_test(inspector.detector, bundle, inspector.payloads, inspector.engine_description)
    files, missing = None, sum(image.payload is None for image in reference.images)
    beyond = golden.departures
    if folders:
        pairs = _pairs(inspector, reference, folders, observer)
        missing -= len(pairs)
        ruler = GoodParts(reference.good_median, reference.good_spread)
        files = measure(pairs, bundle.calibration.limits, ruler, inspector.engine_description)
        beyond += departures(files, reference.limits)
    return ParityReport(
        bundle=bundle.identity.name,
        digest=bundle.identity.digest,
        engine=inspector.engine_description,
        source=reference.source,
        golden=golden,
        files=files,
        beyond=beyond,
        missing=missing,
        allowed=reference.allowed,
    )


def _pairs(inspector: Inspector, reference: Reference, folders: Sequence[Path], observer: Observer) -> list[Pair]:
    wanted = {image.sha256: image for image in reference.images if image.payload is None}
    paths = [path for folder in folders for path in _images(folder)]
    pairs: dict[str, Pair] = {}
    with observer.stage("reference images", len(paths)) as stage:
        for path in paths:
            digest = _digest(path)
            image = wanted.get(digest)
            if image is not None and digest not in pairs:
                pairs[digest] = Pair(path.name, image.defective, Answer(image.score), _answer(inspector, path))
            stage.advance()
    if not pairs:
        raise ConfigError(
            f"none of the bundle's {len(wanted)} reference images is among the {len(paths)} images named",
            "Name the folder with the very files that the bundle was made from: they are matched by their SHA-256.",
        )
    return list(pairs.values())


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", "Name folders with the images that the bundle was made from.")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", "Check the file and its permissions.") from error


def _answer(inspector: Inspector, path: Path) -> Answer:
    try:
        detection = inspector.inspect((load_image(path),))
    except (EngineError, ImageError):
        return Answer(math.nan)
    return Answer(detection.score, detection.anomaly_map)
