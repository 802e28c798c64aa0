"""One detector for several lines."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle


class SharedDetector:
    """A Detector that any thread may call; one at a time gets in.

    Lines that take turns never meet here; what is proved while another line uses it waits for its inspection.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._one_at_a_time = threading.Lock()
        self.proved = False
        """It gave its golden scores: who else takes it over need not ask it again beside the lines that use it."""
        self.abandoned = False
        """A line found it broken: nobody else takes it over."""

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._detector.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port. The map is drawn later and without waiting, as by any detector."""
        with self._one_at_a_time:
            return self._detector.inspect(exposures)
