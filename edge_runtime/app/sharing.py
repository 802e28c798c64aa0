"""One engine for all lines of a process that run the same bundle with the same settings."""

from __future__ import annotations

import logging
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from edge_runtime.app.inspection import Inspector, inspector_of
from edge_runtime.app.tuned import tuned
from edge_runtime.detectors.shared import SharedDetector

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.bundles.archive import OpenBundle
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.services.engine_turns import LineTurns

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Two lines with the same key get the same scores from the same engine."""

    identity: BundleIdentity
    release: int
    settings: tuple[str, ...]

    @classmethod
    def of(cls, bundle: ModelBundle, settings: EngineSettings) -> EngineKey:
        """Of a bundle on an engine; where the compiled model lies makes no difference."""
        chosen = tuned(settings, bundle.identity.digest)
        stated = "as the bundle says" if "precision" not in settings.model_fields_set else chosen.precision
        what = (chosen.name, chosen.provider, chosen.device, str(chosen.threads), chosen.precision, stated)
        return cls(bundle.identity, 0 if bundle.release is None else bundle.release.counter, what)


@dataclass(slots=True)
class _Place:
    """What is loaded for one key; its lock lets one line load while the others with this key wait."""

    lock: threading.Lock
    loaded: weakref.ref[SharedDetector] | None = None
    description: str = ""


class SharedEngines:
    """What the lines of a process have loaded. Holds nothing: what no line uses any more goes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[EngineKey, _Place] = {}

    def assemble(self, opened: OpenBundle, settings: EngineSettings) -> Inspector:
        """As `inspector_of`, on the engine that another line has loaded for this bundle, if there is one.

        Raises:
            BundleError: as `inspector_of`.
            EngineError: as `inspector_of`.
        """
        key = EngineKey.of(opened.manifest, settings)
        with self._lock:
            place = self._places.setdefault(key, _Place(threading.Lock()))
        with place.lock:
            there = None if place.loaded is None else place.loaded()
            if there is not None and not there.abandoned:
                _log.info("%s %s: its engine is shared", key.identity.name, key.identity.version)
                return Inspector(opened, there, place.description)
            inspector = inspector_of(opened, settings)
            detector = SharedDetector(inspector.detector)
            place.loaded, place.description = weakref.ref(detector), inspector.engine_description
            return Inspector(opened, detector, inspector.engine_description)


@dataclass(frozen=True, slots=True)
class Shared:
    """What a line shares with the others of its process."""

    name: str
    """Of the line: its threads and log entries carry it."""
    engines: SharedEngines
    turns: LineTurns

    def assemble(self, opened: OpenBundle, settings: EngineSettings) -> Inspector:
        """See `SharedEngines.assemble`."""
        return self.engines.assemble(opened, settings)


Assemble: TypeAlias = "Callable[[OpenBundle, EngineSettings], Inspector]"
"""Puts an open bundle on an engine: `inspector_of`, or `SharedEngines.assemble`."""
