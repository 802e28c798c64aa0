from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_bench import FailingLedger, ScriptedBroker

from edge_runtime.broker.port import Request
from edge_runtime.domain.errors import UpdateError
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.asked import MOST_REQUESTS
from edge_runtime.services.check_request import CHECK_UPDATES, CheckUpdates
from edge_runtime.services.publish import PublishStage


class Rig:
    """A publish stage that passes requests on, and what came of them."""

    def __init__(self) -> None:
        self.asked = 0
        self.refuses = False
        self.told = []
        clock = SimulatedClock()
        self.requests: list[Request] = []
        broker = ScriptedBroker()
        broker.poll_requests = lambda: [self.requests.pop(0) for _ in list(self.requests)]
        command = CheckUpdates(self._ask, self.told.append, clock)
        self.stage = PublishStage(FailingLedger(), broker, clock, None, {CHECK_UPDATES: command})

    def _ask(self) -> None:
        if self.refuses:
            raise UpdateError("the disk is full", "free it")
        self.asked += 1

    def send(self, payload: bytes, command: str = CHECK_UPDATES) -> None:
        """A request comes."""
        self.requests.append(Request(command, payload))
        self.stage.step()


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"who": "maria", "why": "new model"}'])
def test_a_request_is_passed_on_and_recorded(payload) -> None:
    """An empty message will do; what it says of itself is recorded, and nothing else is done."""
    rig = Rig()
    rig.send(payload)
    assert rig.asked == 1
    assert [event.kind for event in rig.told] == ["update_check_asked"]
    assert rig.told[0].attributes["who"] == ("maria" if b"maria" in payload else "not stated")


@pytest.mark.parametrize(
    "payload", [b'{"url": "http://evil/"}', b'{"root": "x"}', b'{"trust": "development"}', b"[]", b"\xff"]
)
def test_a_request_carries_no_address_and_no_trust(payload) -> None:
    """Whoever may write to the topic cannot say where to look, nor what to believe: refused, and recorded."""
    rig = Rig()
    rig.send(payload)
    assert rig.asked == 0
    assert [event.kind for event in rig.told] == ["update_check_refused"]


def test_other_commands_ask_for_nothing() -> None:
    """The topic's last level decides."""
    rig = Rig()
    rig.send(b"{}", "replay")
    assert (rig.asked, rig.told) == (0, [])


def test_a_flood_is_cut_off() -> None:
    """So many per minute and no more, neither carried out nor recorded."""
    rig = Rig()
    for _ in range(500):
        rig.send(b"{}")
    assert rig.asked == len(rig.told) == MOST_REQUESTS


def test_a_disk_that_refuses_is_told() -> None:
    """Nobody waits for a check that was never passed on."""
    rig = Rig()
    rig.refuses = True
    rig.send(b"{}")
    assert rig.told[0].kind == "update_check_refused"
    assert "free it" in rig.told[0].message


@given(st.binary(max_size=300))
def test_no_payload_does_harm(payload) -> None:
    """Whatever comes: one record, at most one look."""
    rig = Rig()
    rig.send(payload)
    assert len(rig.told) == 1
    assert rig.asked == (rig.told[0].kind == "update_check_asked")
