"""Loads one bundle several times, for a line that looks at several parts at once (`engine.at_once`)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edge_runtime.app.inspection import Inspector, detector_of, inspector_of
from edge_runtime.app.tuned import tuned
from edge_runtime.detectors.side_by_side import SideBySideDetector

if TYPE_CHECKING:
    from edge_runtime.bundles.archive import OpenBundle
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.domain.model_bundle import PayloadReader


def line_inspector(opened: OpenBundle, settings: EngineSettings) -> Inspector:
    """As `inspector_of`, for as many parts at a time as the settings say.

    Raises:
        BundleError: as `inspector_of`.
        EngineError: as `inspector_of`.
    """
    if settings.at_once == 1:
        return inspector_of(opened, settings)
    with contextlib.ExitStack() as undo:
        undo.enter_context(opened)
        payloads, chosen = _ReadOnce(opened.payloads), tuned(settings, opened.manifest.identity.digest)
        loaded = [detector_of(opened.manifest, payloads, chosen) for _ in range(settings.at_once)]
        undo.pop_all()
    description = f"{settings.at_once} times {loaded[0][1]}"
    return Inspector(opened, SideBySideDetector([detector for detector, _ in loaded]), description)


class _ReadOnce:
    """A memory bank is an array over its payload: read once, it is in memory once."""

    def __init__(self, payloads: PayloadReader) -> None:
        self._payloads = payloads
        self._read: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        """See `PayloadReader`."""
        if name not in self._read:
            self._read[name] = self._payloads.read(name)
        return self._read[name]
