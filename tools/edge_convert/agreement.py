"""Which of this machine's other engines give the bundle's scores, and which do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.defects import KINDS
from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_convert.draft import PatchCoreParts
    from edge_convert.exact_search import SearchPayloads
    from edge_convert.images import ImageSet
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.engine.port import Engine

_PROBES: Final = 6
_DRIFT_LIMIT: Final = 0.05
"""Engines that round differently stay within 2 % in INT8; a share of the score beyond this is a graph misread."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The other engines of this machine, judged."""

    used: str
    """The engine that taught."""
    others: tuple[Engine, ...]
    """Those that agree with it."""
    detectors: tuple[Detector, ...]
    """The bundle on each of `others`."""
    warnings: tuple[str, ...]
    """Why another engine is not for this bundle."""

    @property
    def engines(self) -> tuple[str, ...]:
        """What the bundle must ask for: empty where every engine agrees, else the ones that do."""
        return (self.used, *(other.name for other in self.others)) if self.warnings else ()

    def only(self, kept: Sequence[int], warnings: tuple[str, ...]) -> Agreement:
        """Without the engines that another test found wanting; `warnings` says which those are, too."""
        return Agreement(
            self.used,
            tuple(self.others[number] for number in kept),
            tuple(self.detectors[number] for number in kept),
            warnings,
        )


def compare_engines(
    parts: PatchCoreParts,
    search: SearchPayloads,
    detector: Detector,
    used: str,
    others: Iterable[Engine],
    images: ImageSet,
) -> Agreement:
    """Score planted defects on every engine.

    An engine that departs is not allowed to widen the tolerances of the golden images: the bundle is bound to the
    engines that agree.
    """
    agreeing: list[Engine] = []
    detectors: list[Detector] = []
    warnings: list[str] = []
    for other in others:
        try:
            candidate = parts.detector(search, other)
            drift = _drift(detector, candidate, parts, images)
        except EngineError as error:
            warnings.append(f"{other.name} cannot run this bundle, which is bound to {used}: {error.what}")
            continue
        if drift <= _DRIFT_LIMIT:
            agreeing.append(other)
            detectors.append(candidate)
        else:
            warnings.append(
                f"{other.name} gives scores that differ by up to {drift:.0%}, so the bundle is bound to {used}; "
                f"for {other.name} teach with --engine {other.name}"
            )
    return Agreement(used, tuple(agreeing), tuple(detectors), tuple(warnings))


def _drift(reference: Detector, candidate: Detector, parts: PatchCoreParts, images: ImageSet) -> float:
    """Largest relative score difference."""
    drift = 0.0
    for frame in _probes(parts, images):
        expected = reference.inspect((frame,)).score
        found = candidate.inspect((frame,)).score
        if not np.isfinite(found):
            return float("inf")
        drift = max(drift, abs(found - expected) / max(abs(expected), 1e-9))
    return drift


def _probes(parts: PatchCoreParts, images: ImageSet) -> Iterator[Exposure]:
    """Planted defects: a good part that the bank knows has a score near zero, which no ratio can judge."""
    for probe in range(_PROBES):
        frame = images.load(probe * 5 % len(images.files))
        yield parts.area.plant(frame, 9_000 + probe, probe % len(KINDS))
