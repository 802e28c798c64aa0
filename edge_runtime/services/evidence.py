"""The evidence stage: images of REVIEW and REJECT with their heatmap. First to be given up when there is no time."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from edge_runtime.domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.flow import EvidenceItem
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
POLL_S = 0.1
FINISH_NS = 1_000_000_000
"""So long maps are still drawn at the end; the line leaves a stage behind that takes twice as long."""
LOOK_NS = 1_000_000_000
"""So often the disk is looked at, whether there are images to store or not."""


class EvidenceSink(Protocol):
    """Where images go."""

    def save(self, name: str, content: bytes) -> object:
        """Store one image under the quota.

        Raises:
            LedgerError: the disk refuses; nothing else is harmed.
        """

    def make_way(self) -> int:
        """Where the disk is short of room, drop the oldest images; returns how many.

        Raises:
            LedgerError: the disk refuses.
        """


class EvidenceStage:
    """Renders and stores one image at a time; what is stored makes way for the ledger when the disk fills up."""

    name = "evidence"

    def __init__(
        self,
        store: EvidenceSink,
        render: Callable[[EvidenceItem], bytes],
        queue: BoundedQueue[EvidenceItem],
        clock: Clock,
    ) -> None:
        self._store = store
        self._render = render
        self._queue = queue
        self._clock = clock
        self._look_at_ns = 0
        self.saved = 0
        self.failed = 0
        self.given_up = 0
        """Images that were dropped before their time because the disk was full."""
        self.failing: str | None = None
        """Why the last image was not kept; None while all is well."""

    def step(self) -> None:
        """Render and store at most one image."""
        item = self._queue.get(POLL_S)
        if item is not None:
            self._save(item)
        if self._clock.monotonic_ns() >= self._look_at_ns:
            self._look_at_ns = self._clock.monotonic_ns() + LOOK_NS
            self._make_way()

    def finish(self) -> None:
        """Store what is already waiting: the records name these images. When time is up, without their heatmaps."""
        until_ns = self._clock.monotonic_ns() + FINISH_NS
        while (item := self._queue.get(0)) is not None:
            self._save(item if self._clock.monotonic_ns() < until_ns else replace(item, anomaly_map=None))

    def _make_way(self) -> None:
        try:
            dropped = self._store.make_way()
        except LedgerError as error:
            self._refused(error)
            return
        if dropped:
            self.given_up += dropped
            _log.warning("the disk is full: %d evidence images made way for the ledger", dropped)

    def _refused(self, error: LedgerError) -> None:
        if self.failing is None:  # once per trouble: on a busy line every reject would repeat it
            _log.warning("evidence images are not kept: %s", error.diagnostics())
        self.failing = error.what

    def _save(self, item: EvidenceItem) -> None:
        try:
            self._store.save(item.name, self._render(item))
        except LedgerError as error:
            self.failed += 1
            self._refused(error)
        else:
            if self.failing is not None:
                _log.warning("evidence images are kept again; %d were lost since the start", self.failed)
            self.failing = None
            self.saved += 1
