"""A detector that is asked only once about one and the same image."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.detectors.port import Detection
from edge_runtime.domain.inspection import DeferredMap

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle

_MOST_PIXELS: Final = 32 << 20
"""Of all maps that are kept: 128 MiB."""


class Remembering:
    """Answers again what it was asked before: a conversion shows good parts to a model up to four times.

    A detector is deterministic, so the answer would be the same. Scores are kept, and the maps that somebody drew: what
    a map would be drawn from (a PatchCore's patches: megabytes) goes with the answer. Beyond 32 million pixels the
    oldest maps are dropped. What was dropped or never drawn is looked at again if its map is asked for.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._scores: dict[bytes, tuple[float, bool]] = {}
        """With whether there is a map."""
        self._maps: dict[bytes, AnomalyMap] = {}
        self._pixels = 0

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._detector.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port.

        Raises:
            ImageError: see the port.
            EngineError: see the port.
        """
        key = _content(exposures)
        found = None
        if key not in self._scores:
            found = self._detector.inspect(exposures)
            self._scores[key] = found.score, found.source is not None
        score, has_map = self._scores[key]
        if not has_map:
            return Detection(score, None)

        def draw() -> AnomalyMap:
            return self._keep(key, (found or self._detector.inspect(exposures)).anomaly_map)

        return Detection(score, self._maps[key] if key in self._maps else DeferredMap(draw))

    def _keep(self, key: bytes, plane: AnomalyMap | None) -> AnomalyMap:
        if plane is None:
            raise AssertionError  # there was one
        if key not in self._maps:
            self._maps[key] = plane
            self._pixels += plane.size
        while self._pixels > _MOST_PIXELS:
            self._pixels -= self._maps.pop(next(iter(self._maps))).size
        return plane


def _content(exposures: tuple[Exposure, ...]) -> bytes:
    digest = hashlib.sha256()
    for exposure in exposures:
        digest.update(f"{exposure.dtype.str} {exposure.shape};".encode())
        digest.update(np.ascontiguousarray(exposure).data)
    return digest.digest()
