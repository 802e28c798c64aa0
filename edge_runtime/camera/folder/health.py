"""What a technician sees of a folder source."""

from __future__ import annotations

import logging
import threading

from edge_runtime.camera.port import CameraState, CameraStatus

_log = logging.getLogger(__name__)


class FolderHealth:
    """Collects troubles by topic; each is logged when its text changes. Thread-safe."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._fatal: set[str] = set()
        self._reopened = 0

    def trouble(self, topic: str, text: str, *, lost: bool = False) -> None:
        """Something is wrong; `lost` means that nothing can be delivered until it is mended."""
        with self._lock:
            changed = self._troubles.get(topic) != text
            self._troubles[topic] = text
            if lost:
                self._fatal.add(topic)
        if changed:
            _log.warning("%s: %s", self._name, text)

    def mended(self, topic: str) -> None:
        """The trouble is over."""
        with self._lock:
            was_fatal = topic in self._fatal
            known = self._troubles.pop(topic, None) is not None
            self._fatal.discard(topic)
            self._reopened += was_fatal
        if known:
            _log.info("%s: %s is all right again", self._name, topic)

    def status(self) -> CameraStatus:
        """Snapshot for the port."""
        with self._lock:
            return CameraStatus(
                state=CameraState.LOST if self._fatal else CameraState.CONNECTED,
                detail="; ".join(self._troubles.values()),
                dropped=0,
                reopened=self._reopened,
            )
