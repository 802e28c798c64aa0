"""A grown bundle against its golden images and its source: what still proves it, and what forbids it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.reference_maps import read_map
from edge_runtime.decision.judge import classify
from edge_runtime.decision.parity import Answer, GoodParts, Pair, departures, flips, measure
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.verdict import Disposition
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.model_bundle import GoldenImage, ModelBundle, PayloadReader, Reference, ReferenceImage
    from edge_runtime.domain.verdict import Limits

_SAME: Final = 1e-5
"""Relative: another shape of the bank may sum in another order, which no limit sees."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What the grown bundle proves itself with."""

    golden: tuple[GoldenImage, ...]
    reference: Reference | None
    left_out: tuple[str, ...]
    """Golden images that now lie within their tolerance of a limit; they stay in the file, unused."""
    silent: int
    """Answers of the source that the growth has overtaken."""


def prove(manifest: ModelBundle, limits: Limits, detector: Detector, payloads: PayloadReader, engine: str) -> Proved:
    """Score the golden images again.

    The source's answers were given with the old bank. Where the growth does not touch an image, its answer still
    stands; where it does, nothing here can ask the source again, and the answer is withdrawn.

    Args:
        manifest: the bundle before.
        limits: as they will be.
        detector: the grown bundle.
        payloads: the bundle's.
        engine: describes who computes.

    Raises:
        ConfigError: a golden defect would pass, a good golden image would not, or nothing is left to prove the bundle.
    """
    kept: list[GoldenImage] = []
    left_out: list[str] = []
    found: dict[str, Detection] = {}
    for golden in manifest.golden:
        detection = detector.inspect((decode_image(payloads.read(golden.payload)).array,))
        changed = _judge(golden, detection.score, limits)
        if changed is None:
            left_out.append(golden.payload)
        else:
            kept.append(changed)
            found[golden.payload] = detection
    if all(golden.disposition == Disposition.PASS.value for golden in manifest.golden):
        raise ConfigError(
            "the bundle has no golden defect, so nothing would show that an added part makes it blind",
            "Teach it again: with a larger --size, or --region around the part, planted defects are stopped and kept.",
        )
    if not any(golden.disposition != Disposition.PASS.value for golden in kept):
        raise ConfigError(
            "no golden defect is clear of the limits any more, so nothing would prove the grown bundle",
            "Add fewer parts, or teach the bundle again from all good parts.",
        )
    reference, silent = _reference(manifest, limits, found, payloads, engine)
    return Proved(tuple(kept), reference, tuple(left_out), silent)


def _judge(golden: GoldenImage, score: float, limits: Limits) -> GoldenImage | None:
    low = classify(score - golden.tolerance, limits)[0]
    high = classify(score + golden.tolerance, limits)[0]
    passes = golden.disposition == Disposition.PASS.value
    if not passes and low is Disposition.PASS:
        raise ConfigError(
            f"refused: the golden defect {golden.payload} would pass: its score falls from {golden.expected_score:.4g} "
            f"to {score:.4g}, at a limit of {limits.review:.4g}",
            "One of the added parts looks like that defect. Add them one by one to find it, and look at it; if such "
            "marks are acceptable now, teach the bundle again.",
        )
    if passes and high is not Disposition.PASS:
        raise ConfigError(
            f"refused: the good golden image {golden.payload} would not pass any more (score {score:.4g}, limit "
            f"{limits.review:.4g})",
            "Leave the limits as they are (without --sample), or teach the bundle again.",
        )
    if low is not high:
        return None
    return replace(golden, expected_score=score, disposition=low.value)


def _reference(
    manifest: ModelBundle, limits: Limits, found: dict[str, Detection], payloads: PayloadReader, engine: str
) -> tuple[Reference | None, int]:
    reference = manifest.reference
    if reference is None:
        return None, 0
    before = {golden.payload: golden.expected_score for golden in manifest.golden}
    ruler = GoodParts(reference.good_median, reference.good_spread)
    kept: list[ReferenceImage] = []
    pairs: list[Pair] = []
    for image in reference.images:
        detection = None if image.payload is None else found.get(image.payload)
        if image.payload is None or detection is None:
            continue
        old = before[image.payload]
        plane = None if image.anomaly_map is None else read_map(payloads.read(image.anomaly_map), image.anomaly_map)
        device = Answer(detection.score, detection.anomaly_map)
        pair = Pair(image.payload, image.defective, Answer(image.score, plane), device)
        faithful = not flips(pair, limits) and not departures(measure([pair], limits, ruler, ""), reference.limits)
        if abs(detection.score - old) <= _SAME * abs(old) and faithful:
            kept.append(image)
            pairs.append(pair)
    measured = (measure(pairs, limits, ruler, engine),)
    return replace(reference, images=tuple(kept), measured=measured), len(reference.images) - len(kept)
