"""Requests over MQTT, each of them damaged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from target import Target

from edge_runtime.broker.encoding import encoder
from edge_runtime.broker.port import MOST_REQUEST_BYTES, Request
from edge_runtime.bundles.delivery_files import CheckRequest
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.check_request import CheckUpdates
from edge_runtime.services.product_request import ProductCommand
from edge_runtime.services.replay import Replayer

if TYPE_CHECKING:
    from edge_runtime.domain.records import EventRecord


class Codes:
    """What `services.product_switch` is to a request."""

    def ask(self, code: str, _source: str) -> str:
        """One code is known."""
        return "part" if code == "4711" else ""


def mqtt_command() -> Target:
    """Every command: taken or refused, and what is recorded about it can be written down and published."""
    encode = encoder("line")
    check = CheckRequest(Path(tempfile.mkdtemp(prefix="edge-fuzz-")) / "delivery")

    def feed(data: bytes) -> None:
        told: list[EventRecord] = []
        clock = SimulatedClock()
        replayer = Replayer(MemoryLedger(encode), 1_000, told.append, clock)
        commands = {
            "replay": replayer.ask,
            "check_updates": CheckUpdates(check.ask, told.append, clock),
            "product": ProductCommand(Codes(), told.append, clock),  # type: ignore[arg-type]
        }
        text = data.decode("utf-8", "surrogateescape")
        for name, ask in commands.items():
            before = len(told)
            ask(Request(name, data[:MOST_REQUEST_BYTES], text[:300], data[:300], ((text[:20], text),)))
            while replayer.next_row(10**9) is not None:
                continue
            assert len(told) > before, name
        for number, record in enumerate(told):
            json.loads(encode(record, number + 1))

    samples = (
        b'{"from_sequence": 1, "to_sequence": 20, "who": "archive", "why": "its disk was lost"}',
        b'{"from_sequence": 7, "to_sequence": 100000}',
        b'{"code": "4711", "who": "the shift\'s leader"}',
        b'{"who": "IT", "why": "the release of tonight"}',
    )
    return Target("mqtt-command", samples, feed, ())
