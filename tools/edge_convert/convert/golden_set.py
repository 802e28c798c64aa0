"""Golden images of a converted model: images with the source's own answers, clear of every limit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.reference_maps import write_map
from edge_runtime.decision.judge import classify
from edge_runtime.decision.parity import NEAR_LIMIT, Answer, Pair, flips
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import GoldenImage, ReferenceImage
from edge_runtime.domain.verdict import Disposition
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.convert.probes import Probe, Probes
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.verdict import Limits

_RELATIVE_TOLERANCE: Final = 0.02
_SPREAD_TOLERANCE: Final = 0.05
_ENGINE_MARGIN: Final = 2.0

TOLERANCE_NOTE: Final = (
    "the largest of 2 % of the score's distance from the good parts, a twentieth of their spread, and twice the "
    "difference to the other engines of the machine that converted"
)


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Golden images with everything the bundle needs of them."""

    images: tuple[GoldenImage, ...]
    references: tuple[ReferenceImage, ...]
    payloads: dict[str, bytes]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    probe: Probe
    detection: Detection
    tolerance: float


def choose_golden(
    probes: Probes, limits: Limits, detector: Detector, others: Sequence[Detector], each: int
) -> GoldenSet:
    """The first `each` good and `each` defective probes on which the source is clear of the limits.

    Where the source is clear, the device must agree: a golden image never flips, whatever loss is allowed. An image
    whose score could cross a limit within its tolerance is not taken.

    Raises:
        ConfigError: the device judges such an image otherwise than the source, or none at all was found.
    """
    kept: list[_Candidate] = []
    warnings = []
    for defective in (False, True):
        found = _clear(probes, limits, detector, others, each, defective=defective)
        if len(found) < each:
            kind = "defective" if defective else "good"
            warnings.append(
                f"only {len(found)} {kind} golden images of {each} were found whose disposition cannot tip: "
                "the rest lie too near a limit"
            )
        kept += found
    if not kept:
        raise ConfigError(
            "no image is clear of the limits, so no golden image can prove this model",
            "Supply more good parts, labelled defects (--dataset), or limits that separate them.",
        )
    return _pack(kept, limits, warnings)


def _clear(
    probes: Probes, limits: Limits, detector: Detector, others: Sequence[Detector], each: int, *, defective: bool
) -> list[_Candidate]:
    found: list[_Candidate] = []
    margin = NEAR_LIMIT * probes.ruler.spread
    for probe in probes.items:
        near = min(abs(probe.reference.score - limit) for limit in (limits.review, limits.reject)) <= margin
        if probe.defective is not defective or near or len(found) == each:
            continue
        detection = detector.inspect((probe.exposure,))
        pair = Pair(probe.name, defective, probe.reference, _plain(detection))
        if flips(pair, limits):
            raise ConfigError(
                f"the device changes the verdict on {probe.name}: the source model scores it "
                f"{probe.reference.score:.6g}, the device {detection.score:.6g}, at a limit of {limits.review:.6g}",
                "No allowance covers this. Convert in another precision (--precision fp32), or export the model again.",
            )
        if (classify(detection.score, limits)[0] is not Disposition.PASS) != defective:
            continue  # the source itself is wrong about this part: it proves nothing to a technician
        drift = max((abs(other.inspect((probe.exposure,)).score - detection.score) for other in others), default=0.0)
        distance = abs(detection.score - probes.ruler.median)
        tolerance = max(_RELATIVE_TOLERANCE * distance, _SPREAD_TOLERANCE * probes.ruler.spread, _ENGINE_MARGIN * drift)
        low, high = detection.score - tolerance, detection.score + tolerance
        if classify(low, limits)[0] is classify(high, limits)[0]:
            found.append(_Candidate(probe, detection, tolerance))
    return found


def _plain(detection: Detection) -> Answer:
    return Answer(detection.score, None)


def _pack(kept: Sequence[_Candidate], limits: Limits, warnings: Sequence[str]) -> GoldenSet:
    golden: list[GoldenImage] = []
    references: list[ReferenceImage] = []
    payloads: dict[str, bytes] = {}
    for number, candidate in enumerate(kept, start=1):
        probe, score = candidate.probe, candidate.detection.score
        name = f"golden/{number:02d}-{'defect' if probe.defective else 'good'}.png"
        payloads[name] = encode_png(probe.exposure)
        golden.append(GoldenImage(name, score, candidate.tolerance, classify(score, limits)[0].value))
        map_name = None
        if probe.reference.anomaly_map is not None:
            map_name = f"reference/{number:02d}.npy"
            payloads[map_name] = write_map(probe.reference.anomaly_map)
        digest = hashlib.sha256(payloads[name]).hexdigest()
        references.append(ReferenceImage(digest, probe.reference.score, probe.defective, name, map_name))
    return GoldenSet(tuple(golden), tuple(references), payloads, tuple(warnings))
