from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from makers import MS, make_frame, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.domain.errors import LedgerError
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.evidence import EvidenceStage
from edge_runtime.services.flow import EvidenceItem
from edge_runtime.services.queues import BoundedQueue


class MoodyStore:
    """Refuses while the disk is full."""

    def __init__(self) -> None:
        self.full = False
        self.saved: list[str] = []
        self.short_of_room = 0

    def save(self, name: str, content: bytes) -> None:
        """Keep the name, unless the disk is full."""
        if self.full:
            raise LedgerError("disk full", "make room")
        self.saved.append(name)

    def make_way(self) -> int:
        """As many as are in the way; they are gone then."""
        dropped, self.short_of_room = self.short_of_room, 0
        return dropped


def _item(number: int) -> EvidenceItem:
    verdict = judge(make_inspection(5.0), make_part(number), make_recipe(), 1_010 * MS)
    return EvidenceItem(f"{number}.jpg", make_frame(number), None, verdict)


def test_a_full_disk_is_told_once_and_its_end_as_well(caplog) -> None:
    """A busy line does not flood the log; the pictures after the trouble are kept."""
    store, queue = MoodyStore(), BoundedQueue("evidence", 100)
    stage = EvidenceStage(store, lambda _item: b"jpeg", queue, SimulatedClock())
    caplog.set_level(logging.WARNING)
    store.full = True
    for number in range(5):
        queue.try_put(_item(number))
        stage.step()
    store.full = False
    queue.try_put(_item(9))
    stage.step()
    assert (stage.failed, store.saved, stage.failing) == (5, ["9.jpg"], None)
    assert len(caplog.records) == 2
    assert "5 were lost" in caplog.text


def test_images_make_way_also_while_none_come(caplog) -> None:
    """The disk is looked at once per second, not only when there is a picture to store; what went is counted."""
    store, clock = MoodyStore(), SimulatedClock()
    queue = BoundedQueue("evidence", 1)
    stage = EvidenceStage(store, lambda _item: b"jpeg", queue, clock)
    stage.step()
    store.short_of_room = 3
    stage.step()
    assert stage.given_up == 0
    clock.advance(1_001 * MS)
    stage.step()
    stage.step()
    assert (stage.given_up, stage.failing) == (3, None)


def test_the_end_keeps_every_waiting_image_even_where_maps_take_long() -> None:
    """The records name them. When the time for drawing is up, the rest is kept without its heatmap."""
    store, clock, drawn = MoodyStore(), SimulatedClock(), []
    queue = BoundedQueue("evidence", 16)

    def render(item: EvidenceItem) -> bytes:
        drawn.append(item.anomaly_map is not None)
        if item.anomaly_map is not None:
            clock.advance(400 * MS)
        return b"jpeg"

    stage = EvidenceStage(store, render, queue, clock)
    for number in range(6):
        queue.try_put(replace(_item(number), anomaly_map=np.zeros((2, 2), np.float32)))
    stage.finish()
    assert store.saved == [f"{number}.jpg" for number in range(6)]
    assert drawn == [True, True, True, False, False, False]
