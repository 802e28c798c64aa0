"""The evidence stage: images of REVIEW and REJECT with their heatmap. First to be given up when there is no time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from edge_runtime.domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.services.flow import EvidenceItem
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
POLL_S = 0.1


class EvidenceSink(Protocol):
    """Where images go."""

    def save(self, name: str, content: bytes) -> object:
        """Store one image under the quota.

        Raises:
            LedgerError: the disk refuses; nothing else is harmed.
        """


class EvidenceStage:
    """Renders and stores one image at a time."""

    name = "evidence"

    def __init__(
        self, store: EvidenceSink, render: Callable[[EvidenceItem], bytes], queue: BoundedQueue[EvidenceItem]
    ) -> None:
        self._store = store
        self._render = render
        self._queue = queue
        self.saved = 0
        self.failed = 0
        self.failing: str | None = None
        """Why the last image was not kept; None while all is well."""

    def step(self) -> None:
        """Render and store at most one image."""
        item = self._queue.get(POLL_S)
        if item is not None:
            self._save(item)

    def finish(self) -> None:
        """Store what is already waiting: the records name these images."""
        while (item := self._queue.get(0)) is not None:
            self._save(item)

    def _save(self, item: EvidenceItem) -> None:
        try:
            self._store.save(item.name, self._render(item))
        except LedgerError as error:
            self.failed += 1
            if self.failing is None:  # once per trouble: on a busy line every reject would repeat it
                _log.warning("evidence images are not kept: %s", error.diagnostics())
            self.failing = error.what
        else:
            if self.failing is not None:
                _log.warning("evidence images are kept again; %d were lost since the start", self.failed)
            self.failing = None
            self.saved += 1
