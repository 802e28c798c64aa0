"""Golden images: frames inside the bundle by which a device proves that it gives the scores of the conversion."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge_convert.defects import LOCAL_KINDS
from edge_runtime.bundles.reference_maps import write_map
from edge_runtime.decision.judge import classify
from edge_runtime.decision.parity import Answer, Pair, flips, measure, worst_ratio
from edge_runtime.domain.model_bundle import GoldenImage, ReferenceImage
from edge_runtime.domain.verdict import Disposition
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer, Stage
    from edge_convert.teaching.area import Area
    from edge_convert.teaching.proof import Proof
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.verdict import Limits

_PIXELS_LIMIT: Final = 1 << 20
_INPUT_MULTIPLE: Final = 4
_TILE_MULTIPLE: Final = 1.5
_TRIES_PER_IMAGE: Final = 8
_RELATIVE_TOLERANCE: Final = 0.02
_ENGINE_MARGIN: Final = 2.0
_PARITY_SHARE: Final = 0.8
"""Of the parity limits: a golden image that nearly departs here would depart on another processor."""

TOLERANCE_NOTE: Final = (
    "2 % of the expected score, or twice the difference to the other engines installed at teaching where that is more: "
    "another engine or processor rounds INT8 and sums float32 in another order, which stays below it, while a "
    "wrong weight, resize, colour order or normalisation exceeds it"
)


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Golden images with their PNG files."""

    images: tuple[GoldenImage, ...]
    references: tuple[ReferenceImage, ...]
    """The float32 source's answers to them."""
    payloads: dict[str, bytes]
    largest_engine_drift: float | None
    """Largest relative score difference to another engine; None where there is none that the bundle may run on."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    frame: Exposure
    found: tuple[Detection, ...]
    """The engine in use first, then the others."""
    wanted: Disposition

    @property
    def score(self) -> float:
        return self.found[0].score

    @property
    def drift(self) -> float:
        return max(abs(other.score - self.score) for other in self.found)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The golden images of one kind, and what the search for them saw."""

    kept: tuple[_Candidate, ...]
    answers: tuple[Answer, ...]
    """The source's, to each that is kept."""
    tried: int
    right: int
    """Of the tried ones, those that the model put on the side where they belong."""


def make_golden(
    images: ImageSet,
    area: Area,
    limits: Limits,
    detector: Detector,
    proof: Proof,
    observer: Observer,
    *,
    each: int,
    seed: int,
) -> GoldenSet:
    """Choose `each` good parts and `each` planted defects whose disposition cannot tip within the tolerance.

    The whole band of an image's tolerance has one disposition, and its float32 source and every engine of this machine
    agree on it: whatever engine keeps the tolerance, gives the verdict.

    Args:
        images: good parts.
        area: what the bundle inspects.
        limits: the bundle's limits.
        detector: the very detector that gives the expected scores.
        proof: the float32 source, and the same bundle on the other engines of this machine.
        observer: who watches.
        each: how many of both, at least 1.
        seed: of the choice and of the defects.
    """
    engines = (detector, *proof.agreement.detectors)
    with observer.stage("golden images", 2 * each) as stage:
        good, bad = (
            _choose(_candidates(images, area, engines, wanted, each, seed), limits, proof, each, stage)
            for wanted in (Disposition.PASS, Disposition.REJECT)
        )
    return _pack(good.kept + bad.kept, good.answers + bad.answers, limits, _doubts(good, bad, each))


def _choose(candidates: Iterator[_Candidate], limits: Limits, proof: Proof, each: int, stage: Stage) -> _Chosen:
    """The first that will do, until there are enough."""
    kept: list[_Candidate] = []
    answers: list[Answer] = []
    tried = right = 0
    for candidate in candidates:
        found = classify(candidate.score, limits)[0]
        fits = (found is Disposition.PASS) == (candidate.wanted is Disposition.PASS)
        tried, right = tried + 1, right + fits
        answer = _faithful(candidate, proof, limits) if fits and _steady(candidate, limits) else None
        if answer is not None:
            kept.append(candidate)
            answers.append(answer)
            stage.advance()
            if len(kept) == each:
                break
    return _Chosen(tuple(kept), tuple(answers), tried, right)


def _doubts(good: _Chosen, bad: _Chosen, each: int) -> list[str]:
    """What the search for golden images says about the model."""
    warnings = []
    if bad.tried and bad.right < bad.tried / 2:
        warnings.append(
            f"the model stopped only {bad.right} of {bad.tried} planted defects: it may be blind to small marks; try a "
            "larger --size, or --region around the part"
        )
    if len(good.kept) + len(bad.kept) < 2 * each:
        warnings.append(
            f"only {len(good.kept)} good and {len(bad.kept)} defective golden images of {each} each were found whose "
            "disposition cannot tip: the rest would lie too near a limit"
        )
    return warnings


def _candidates(
    images: ImageSet,
    area: Area,
    engines: Sequence[Detector],
    wanted: Disposition,
    each: int,
    seed: int,
) -> Iterator[_Candidate]:
    order = np.random.default_rng((seed, len(images.files))).permutation(len(images.files))
    for turn in range(each * _TRIES_PER_IMAGE):
        if wanted is Disposition.PASS and turn >= len(order):
            return
        frame = small_enough(images.load(int(order[turn % len(order)])), area)
        if wanted is Disposition.REJECT:
            frame = area.plant(frame, seed + 5_000 + turn, turn % LOCAL_KINDS)
        yield _Candidate(wanted.value, frame, tuple(one.inspect((frame,)) for one in engines), wanted)


def small_enough(frame: Exposure, area: Area) -> Exposure:
    """A frame that is small enough to carry: reduced as a whole, or blackened outside the inspected region.

    Reduced, each tile still has more pixels than the network's input: nothing that the network can see is lost, and the
    device's own resize is proved with it.
    """
    spec = area.spec
    height, width = frame.shape[:2]
    input_px = spec.height_px * spec.width_px
    limit = max(_PIXELS_LIMIT, _INPUT_MULTIPLE * input_px, int(_TILE_MULTIPLE * input_px * area.count))
    if height * width <= limit:
        return frame
    if spec.region is not None:  # its coordinates bind the frame to its size
        x, y, region_width, region_height = spec.region
        masked = np.zeros_like(frame)
        masked[y : y + region_height, x : x + region_width] = frame[y : y + region_height, x : x + region_width]
        return masked
    factor = (limit / (height * width)) ** 0.5
    size = (int(width * factor), int(height * factor))
    return np.ascontiguousarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _tolerance(candidate: _Candidate) -> float:
    return max(_RELATIVE_TOLERANCE * abs(candidate.score), _ENGINE_MARGIN * candidate.drift)


def _steady(candidate: _Candidate, limits: Limits) -> bool:
    reach = _tolerance(candidate)
    low, high = candidate.score - reach, candidate.score + reach
    return classify(low, limits)[0] is classify(high, limits)[0]


def _faithful(candidate: _Candidate, proof: Proof, limits: Limits) -> Answer | None:
    """The source's answer, if every engine gives its verdict and stays clear of the parity limits."""
    detection = proof.source.detector.inspect((candidate.frame,))
    defective = candidate.wanted is Disposition.REJECT
    reference = Answer(detection.score, detection.anomaly_map if defective else None)
    for found in candidate.found:
        pair = Pair(candidate.name, defective, reference, Answer(found.score, found.anomaly_map))
        if flips(pair, limits):
            return None
        if worst_ratio(measure([pair], limits, proof.source.ruler, ""), proof.limits) > _PARITY_SHARE:
            return None
    return reference


def _pack(kept: Sequence[_Candidate], answers: Sequence[Answer], limits: Limits, warnings: Sequence[str]) -> GoldenSet:
    golden: list[GoldenImage] = []
    references: list[ReferenceImage] = []
    payloads: dict[str, bytes] = {}
    for number, (candidate, answer) in enumerate(zip(kept, answers, strict=True), start=1):
        kind = "good" if candidate.wanted is Disposition.PASS else "defect"
        name = f"golden/{number:02d}-{kind}.png"
        payloads[name] = encode_png(candidate.frame)
        disposition = classify(candidate.score, limits)[0].value
        golden.append(GoldenImage(name, candidate.score, _tolerance(candidate), disposition))
        map_name = None
        if answer.anomaly_map is not None:
            map_name = f"reference/{number:02d}.npy"
            payloads[map_name] = write_map(answer.anomaly_map)
        digest = hashlib.sha256(payloads[name]).hexdigest()
        references.append(ReferenceImage(digest, answer.score, kind == "defect", name, map_name))
    drifts = [candidate.drift / abs(candidate.score) for candidate in kept if candidate.score]
    compared = any(len(candidate.found) > 1 for candidate in kept)
    drift = max(drifts, default=0.0) if compared else None
    return GoldenSet(tuple(golden), tuple(references), payloads, drift, tuple(warnings))
