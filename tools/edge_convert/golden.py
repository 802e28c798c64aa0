"""Golden images: frames inside the bundle by which a device proves that it gives the scores of the conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge_convert.defects import LOCAL_KINDS
from edge_runtime.decision.judge import classify
from edge_runtime.domain.model_bundle import GoldenImage
from edge_runtime.domain.verdict import Disposition
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_convert.teaching.area import Area
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.verdict import Limits

_PIXELS_LIMIT: Final = 1 << 20
_INPUT_MULTIPLE: Final = 4
_TILE_MULTIPLE: Final = 1.5
_TRIES_PER_IMAGE: Final = 8
_RELATIVE_TOLERANCE: Final = 0.02
_ENGINE_MARGIN: Final = 2.0

TOLERANCE_NOTE: Final = (
    "2 % of the expected score, or twice the difference to the other engines installed at teaching where that is more: "
    "another engine or processor rounds INT8 and sums float32 in another order, which stays below it, while a "
    "wrong weight, resize, colour order or normalisation exceeds it"
)


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Golden images with their PNG files."""

    images: tuple[GoldenImage, ...]
    payloads: dict[str, bytes]
    largest_engine_drift: float | None
    """Largest relative score difference to another engine; None where there is none that the bundle may run on."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    frame: Exposure
    score: float
    others: tuple[float, ...]
    wanted: Disposition

    @property
    def drift(self) -> float:
        return max((abs(other - self.score) for other in self.others), default=0.0)


def make_golden(
    images: ImageSet,
    area: Area,
    limits: Limits,
    detector: Detector,
    others: Sequence[Detector],
    observer: Observer,
    *,
    each: int,
    seed: int,
) -> GoldenSet:
    """Choose `each` good parts and `each` planted defects whose disposition cannot tip within the tolerance.

    Args:
        images: good parts.
        area: what the bundle inspects.
        limits: the bundle's limits.
        detector: the very detector that gives the expected scores.
        others: the same bundle on the other engines of this machine.
        observer: who watches.
        each: how many of both, at least 1.
        seed: of the choice and of the defects.
    """
    good: list[_Candidate] = []
    bad: list[_Candidate] = []
    tried = caught = 0
    with observer.stage("golden images", 2 * each) as stage:
        for wanted, kept in ((Disposition.PASS, good), (Disposition.REJECT, bad)):
            for candidate in _candidates(images, area, detector, others, wanted, each, seed):
                if len(kept) == each:
                    break
                found = classify(candidate.score, limits)[0]
                tried += wanted is Disposition.REJECT
                caught += wanted is Disposition.REJECT and found is not Disposition.PASS
                fits = (found is Disposition.PASS) == (wanted is Disposition.PASS)
                if fits and _steady(candidate, limits):
                    kept.append(candidate)
                    stage.advance()
    doubts = _doubts(len(good), len(bad), each, tried, caught)
    return _pack(good + bad, limits, doubts, compared=bool(others))


def _doubts(good: int, bad: int, each: int, tried: int, caught: int) -> list[str]:
    """What the search for golden images says about the model."""
    warnings = []
    if tried and caught < tried / 2:
        warnings.append(
            f"the model stopped only {caught} of {tried} planted defects: it may be blind to small marks; try a larger "
            "--size, or --region around the part"
        )
    if good + bad < 2 * each:
        warnings.append(
            f"only {good} good and {bad} defective golden images of {each} each were found whose disposition "
            "cannot tip: the rest would lie too near a limit"
        )
    return warnings


def _candidates(
    images: ImageSet,
    area: Area,
    detector: Detector,
    others: Sequence[Detector],
    wanted: Disposition,
    each: int,
    seed: int,
) -> Iterator[_Candidate]:
    order = np.random.default_rng((seed, len(images.files))).permutation(len(images.files))
    for turn in range(each * _TRIES_PER_IMAGE):
        if wanted is Disposition.PASS and turn >= len(order):
            return
        frame = _shrink(images.load(int(order[turn % len(order)])), area)
        if wanted is Disposition.REJECT:
            frame = area.plant(frame, seed + 5_000 + turn, turn % LOCAL_KINDS)
        scores = [one.inspect((frame,)).score for one in (detector, *others)]
        yield _Candidate(wanted.value, frame, scores[0], tuple(scores[1:]), wanted)


def _shrink(frame: Exposure, area: Area) -> Exposure:
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


def _pack(kept: Sequence[_Candidate], limits: Limits, warnings: Sequence[str], *, compared: bool) -> GoldenSet:
    golden: list[GoldenImage] = []
    payloads: dict[str, bytes] = {}
    for number, candidate in enumerate(kept, start=1):
        kind = "good" if candidate.wanted is Disposition.PASS else "defect"
        name = f"golden/{number:02d}-{kind}.png"
        payloads[name] = encode_png(candidate.frame)
        disposition = classify(candidate.score, limits)[0].value
        golden.append(GoldenImage(name, candidate.score, _tolerance(candidate), disposition))
    drift = max((candidate.drift / abs(candidate.score) for candidate in kept if candidate.score), default=0.0)
    return GoldenSet(tuple(golden), payloads, drift if compared else None, tuple(warnings))
