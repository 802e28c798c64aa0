"""Loads a candidate that is to decide, in a thread of its own: it takes from half a second to minutes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EdgeError
from edge_runtime.ops.threads import of_this_line

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
        self._digest = ""

    def get(self, candidate: BundleIdentity) -> Model | str | None:
        """The candidate; why it cannot be loaded; or None: ask again. Begins to load where that was not done.

        What is still loading for another one is waited for: two at a time would take the memory of both.
        """
        if self._thread is not None:
            if self._thread.is_alive():
                return None
            self._thread.join()
            self._thread = None
        if self._digest != candidate.digest:
            self._arrived, self._digest = [], candidate.digest
            arguments = candidate, self._arrived
            self._thread = threading.Thread(target=self._load, args=arguments, name=of_this_line("canary"), daemon=True)
            self._thread.start()
            return None
        return self._arrived[0] if self._arrived else "the thread that loads it failed"

    def forget(self) -> None:
        """What is being loaded or has arrived is in use, or not wanted any more: it is not kept here."""
        self._arrived, self._digest = [], ""

    def _load(self, candidate: BundleIdentity, arrived: list[Model | str]) -> None:
        try:
            arrived.append(self._contenders.load(candidate))
        except EdgeError as error:
            arrived.append(error.what)
        except Exception as error:  # noqa: BLE001  (an engine that breaks while it loads may throw anything)
            _log.error("the candidate could not be loaded", exc_info=True)
            arrived.append(f"{type(error).__name__}: {error}")
