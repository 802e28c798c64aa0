"""Several detectors of one bundle, for as many parts at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle


class SideBySideDetector:
    """A Detector that several threads call at once; more of them than there are detectors wait.

    Which one looks is chance, so all have to give the same scores: the same bundle on engines of the same settings. A
    thread gets the one that it had last wherever that is free, because an engine keeps memory for each thread that
    calls it.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        """Take over at least one."""
        self.each = tuple(detectors)
        """To be asked one by one where all have to answer: for a proof."""
        self._room = threading.Semaphore(len(self.each))
        self._choosing = threading.Lock()
        self._free = list(self.each)
        self._last = threading.local()

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self.each[0].bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        with self._room:
            detector = self._choose()
            try:
                return detector.inspect(exposures)
            finally:
                with self._choosing:
                    self._free.append(detector)

    def _choose(self) -> Detector:
        last = getattr(self._last, "detector", None)
        with self._choosing:
            detector = last if last in self._free else self._free[0]
            self._free.remove(detector)
        self._last.detector = detector
        return detector


def each_of(detector: Detector) -> tuple[Detector, ...]:
    """All that may look in place of this one; itself where it is alone."""
    return detector.each if isinstance(detector, SideBySideDetector) else (detector,)
