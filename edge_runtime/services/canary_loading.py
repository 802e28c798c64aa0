"""Loads a candidate that is to decide, in a thread of its own: it takes from half a second to minutes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EdgeError

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.rollout_port import Contenders

_log = logging.getLogger(__name__)


class CanaryLoading:
    """One candidate at a time. One thread calls it."""

    def __init__(self, contenders: Contenders) -> None:
        self._contenders = contenders
        self._thread: threading.Thread | None = None
        self._arrived: list[Model | str] = []

    def get(self, candidate: BundleIdentity) -> Model | str | None:
        """The candidate, once; why it cannot be loaded; or None: ask again. Begins to load where nothing does."""
        if self._thread is None:
            self._arrived = []
            arguments = candidate, self._arrived
            self._thread = threading.Thread(target=self._load, args=arguments, name="canary", daemon=True)
            self._thread.start()
            return None
        if self._thread.is_alive():
            return None
        self._thread.join()
        self._thread = None
        return self._arrived.pop() if self._arrived else "the thread that loads it failed"

    def _load(self, candidate: BundleIdentity, arrived: list[Model | str]) -> None:
        try:
            arrived.append(self._contenders.load(candidate))
        except EdgeError as error:
            arrived.append(error.what)
        except Exception as error:  # noqa: BLE001  (an engine that breaks while it loads may throw anything)
            _log.error("the candidate could not be loaded", exc_info=True)
            arrived.append(f"{type(error).__name__}: {error}")
