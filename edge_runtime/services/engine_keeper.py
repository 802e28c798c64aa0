"""The detector in use, and loading it anew after it has failed several times in a row."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EdgeError, EngineError, ImageError
from edge_runtime.ops.threads import of_this_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
FAILURES = 3
"""So many parts in a row that the engine could not judge mean that it is broken, not the part."""
PAUSES_NS = (0, 5_000_000_000, 30_000_000_000)
"""Before each attempt to load it anew. After these it is given up until somebody acknowledges."""


class EngineKeeper:
    """A Detector that mends itself. `inspect` and `look_after` belong to the inspect stage's threads.

    Loading takes from half a second to minutes, so it has a thread of its own, named `engine`; meanwhile every part
    gets its fault at once.
    """

    def __init__(self, detector: Detector, renew: Callable[[], Detector] | None, clock: Clock) -> None:
        """Start with a proved detector.

        Args:
            renew: loads the same bundle anew and proves it on its golden images; raises EdgeError where that fails.
                None: nothing is ever loaded anew.
        """
        self._detector = detector
        self._renew = renew
        self._clock = clock
        self._counting = threading.Lock()
        """Several threads may look at parts."""
        self._failures = 0
        self._attempts = 0
        self._next_ns = 0
        self._thread: threading.Thread | None = None
        self._renewed: Detector | None = None
        self._why = ""
        self._why_not = ""
        self._forgiven = False
        self.failing: str | None = None
        """Why nothing can be judged; None while all is well. Readable from any thread."""
        self.renewals = 0
        """How often the engine was loaded anew since the start."""

    @property
    def bundle(self) -> ModelBundle:
        """See `Detector`."""
        return self._detector.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See `Detector`. What it raises, and a score that is no number, counts as a failure, except ImageError."""
        if self._thread is not None:
            raise EngineError("the engine is being loaded anew", "wait; see the log for why")
        detector = self._detector
        try:
            detection = detector.inspect(exposures)
        except ImageError:
            raise
        except Exception as error:
            self._count(detector, f"{type(error).__name__}: {error}")
            raise
        self._count(detector, "" if math.isfinite(detection.score) else f"the model returned {detection.score}")
        return detection

    def look_after(self) -> None:
        """Called in every round: takes over what was loaded, begins the next attempt when it is time."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread.join()
            self._thread = None
            self._take_over()
        if self._forgiven:
            self._forgiven, self._attempts, self._next_ns = False, 0, 0
        if self.failing is None or self._thread is not None or self._renew is None:
            return
        with self._counting:
            due = self._clock.monotonic_ns() >= self._next_ns and self._attempts < len(PAUSES_NS)
            if due and self.failing is not None:  # another part may have been judged just now
                self._begin(self._renew)

    def acknowledge(self) -> None:
        """Somebody looked at it: as many attempts again. Callable from any thread."""
        self._forgiven = True

    def _count(self, detector: Detector, why: str) -> None:
        """What came of a part; `why` it failed, else empty. What another takes, or has taken, the place of is out."""
        with self._counting:
            if detector is not self._detector or self._thread is not None:
                return
            if not why:
                self._failures, self._attempts, self.failing = 0, 0, None
                return
            self._failures += 1
            self._why = why
            if self._failures >= FAILURES:
                self.failing = self._told()

    def _begin(self, renew: Callable[[], Detector]) -> None:
        self._attempts += 1
        _log.warning("loading the engine anew, attempt %d of %d: %s", self._attempts, len(PAUSES_NS), self.failing)
        self._thread = threading.Thread(target=lambda: self._load(renew), name=of_this_line("engine"), daemon=True)
        self._thread.start()

    def _load(self, renew: Callable[[], Detector]) -> None:
        try:
            self._renewed = renew()
        except EdgeError as error:
            self._why_not = error.what
            _log.error("the engine could not be loaded anew: %s", error.diagnostics())
        except Exception as error:  # noqa: BLE001  (an engine that breaks while it loads may throw anything)
            self._why_not = f"{type(error).__name__}: {error}"
            _log.error("the engine could not be loaded anew", exc_info=True)

    def _take_over(self) -> None:
        left = self._attempts < len(PAUSES_NS)
        self._next_ns = self._clock.monotonic_ns() + (PAUSES_NS[self._attempts] if left else 0)
        if self._renewed is None:
            self.failing = self._told()
            return
        # It gave its golden scores just now: the next part is welcome, and the line need not wait for a part to say so.
        with self._counting:
            self._detector, self._renewed, self._why_not = self._renewed, None, ""
            self._failures, self.failing = 0, None
        self.renewals += 1
        _log.warning("the engine was loaded anew and gives its golden scores")

    def _told(self) -> str:
        text = f"{self._failures} parts in a row: {self._why}"
        if self._why_not:
            text += f"; could not be loaded anew: {self._why_not}"
        if self._renew is not None and self._attempts == len(PAUSES_NS):
            text += f"; given up after {self._attempts} attempts"
        return text
