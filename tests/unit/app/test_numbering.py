from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, verdict_record
from link_bench import LinkBench, ScriptedPlc
from makers import BUNDLE, make_recipe

from edge_runtime.app.devices import Devices
from edge_runtime.app.numbering import start_numbering
from edge_runtime.app.stages import Common, make_queues
from edge_runtime.broker.encoding import encoder
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import LedgerFullError
from edge_runtime.domain.recipe import GateMode
from edge_runtime.domain.records import EventRecord, VerdictRecord
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc.port import PlcCapability
from edge_runtime.services.events import Events
from edge_runtime.services.flow import LoadShed, RecipeCell
from edge_runtime.services.monitor import LineMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class CountingPlc(ScriptedPlc):
    """One whose count of parts can be watched."""

    capabilities = PlcCapability.HANDSHAKE | PlcCapability.TRIGGER_COUNT


class PassivePlc(ScriptedPlc):
    """One that acknowledges nothing: a bare coil."""

    capabilities = PlcCapability.EJECTOR


@dataclass
class Plant:
    """A ledger and a PLC that outlive the daemon's lives; none of these lives ends in an orderly way."""

    ledger: SqliteLedger
    plc: ScriptedPlc

    def live(self, *, reached: bool) -> Life:
        """The next start of the daemon."""
        self.plc.answers = reached
        return Life(self)

    def commit(self, *numbers: int) -> None:
        """The verdicts on these parts reach the disk."""
        self.ledger.append([verdict_record(number) for number in numbers])

    def interrupted(self) -> list[int]:
        """Numbers of the parts that reappeared, in the order of the ledger."""
        return [m["part_sequence"] for m in self._messages() if m.get("reason") == "interrupted"]

    def events(self) -> list[str]:
        """What else was recorded."""
        return [m["kind"] for m in self._messages() if "kind" in m]

    def _messages(self) -> list[dict[str, object]]:
        return [json.loads(row.payload) for row in reversed(self.ledger.recent(1_000))]


class Life:
    """One life of the daemon, from its start on."""

    def __init__(self, plant: Plant) -> None:
        config = LineConfig.model_validate(
            {
                "device": {"name": DEVICE, "state_dir": "unused"},
                "bundle": {"path": "unused"},
                "camera": {"kind": "sim"},
                "plc": {"kind": "sim"},
                "plc_link": {"watch_trigger_count": True},
                "recipe": {"reject": {"delay_ms": 800}},
            }
        )
        inspector = SimpleNamespace(bundle=SimpleNamespace(identity=BUNDLE))
        clock, queues = SystemClock(), make_queues(config)
        self._plant, self._bench, self._records = plant, LinkBench(GateMode.PERMIT), queues.records
        self._bench.link._plc = plant.plc
        line = Common(
            config=config,
            devices=Devices(inspector, SimpleNamespace(), plant.plc, plant.ledger, None, None),
            recipe=RecipeCell(make_recipe(), BUNDLE),
            models=SimpleNamespace(),
            queues=queues,
            monitor=LineMonitor(),
            events=Events(queues.records, clock),
            reload=SimpleNamespace(),
            shed=LoadShed(),
            clock=clock,
        )
        self.last = start_numbering(line, self._bench.link, [])

    def reach_plc(self) -> None:
        """The first contact; what is to be recorded then waits for the disk."""
        self._plant.plc.answers = True
        self._bench.pass_time(100)

    def waiting(self) -> Sequence[VerdictRecord | EventRecord]:
        """What waits for the disk; none of it waits any more."""
        found = []
        while (item := self._records.get(0)) is not None:
            found.append(item.record)
        return found


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """A ledger that ends at part 10, while the PLC has acted upon parts up to 14."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", DEVICE, encoder(DEVICE))
    ledger.append([verdict_record(number) for number in range(1, 11)])
    yield ledger
    ledger.close()


@pytest.fixture(params=[CountingPlc, ScriptedPlc], ids=["the PLC's numbers", "our own numbers"])
def plant(ledger, request) -> Plant:
    """Frames with the PLC's numbers, or counted here."""
    plant = Plant(ledger, request.param())
    plant.plc._acknowledged = 14
    return plant


def test_a_plc_that_answers_at_the_start_is_asked_then(plant) -> None:
    """Parts 11 to 14 are recorded before the line runs, and numbering goes on behind them."""
    assert plant.live(reached=True).last == 14
    assert (plant.interrupted(), plant.events()) == ([11, 12, 13, 14], [])


def test_a_life_that_ends_before_it_reached_the_plc_leaves_the_question_to_the_next(plant) -> None:
    """It commits newer parts: the comparison is still made from part 10 on, once."""
    plant.live(reached=False)
    plant.commit(21, 22)
    assert plant.live(reached=True).last == 22
    assert plant.interrupted() == [11, 12, 13, 14]
    assert plant.live(reached=True).last == 22
    assert plant.interrupted() == [11, 12, 13, 14]
    assert plant.events() == ["plc_not_asked", "plc_asked"]


def test_any_number_of_lives_may_end_before_the_plc_is_reached(plant) -> None:
    """The question stays what it was at the first of them; it is written down once."""
    for number in (21, 22, 23):
        plant.live(reached=False)
        plant.commit(number)
    life = plant.live(reached=False)
    life.reach_plc()
    plant.ledger.append(life.waiting())
    assert plant.interrupted() == [11, 12, 13, 14]
    assert plant.events() == ["plc_not_asked", "plc_asked"]


def test_what_was_found_and_not_committed_is_found_again(plant) -> None:
    """The PLC answers, and the daemon is killed while the disk refuses what it said."""
    plant.live(reached=False).reach_plc()
    plant.plc._acknowledged = 16
    assert plant.live(reached=True).last == 16
    assert plant.interrupted() == [11, 12, 13, 14, 15, 16]


def test_parts_that_were_recorded_meanwhile_are_not_told_of_twice(ledger) -> None:
    """With the PLC's numbers it is certain which parts those are."""
    plant = Plant(ledger, CountingPlc())
    plant.live(reached=False)
    plant.commit(15, 16)
    plant.plc._acknowledged = 18
    assert plant.live(reached=True).last == 18
    assert plant.interrupted() == [11, 12, 13, 14, 17, 18]


def test_numbers_that_were_given_again_hide_no_part(ledger) -> None:
    """Counted here, the first parts of the second life get the numbers of those that the PLC acted upon."""
    plant = Plant(ledger, ScriptedPlc())
    plant.plc._acknowledged = 14
    plant.live(reached=False)
    plant.commit(11, 12)
    plant.live(reached=True)
    assert plant.interrupted() == [11, 12, 13, 14]


def test_where_the_disk_refuses_at_the_start_the_question_is_first_in_line(plant, monkeypatch) -> None:
    """It must be on the disk before the first new part."""
    monkeypatch.setattr(plant.ledger, "append", _refuse)
    [first, *_] = plant.live(reached=False).waiting()
    assert isinstance(first, EventRecord)
    assert first.notes


def _refuse(_entries: object) -> None:
    raise LedgerFullError("no room", "make room")


def test_nothing_is_owed_where_there_is_nobody_to_ask(ledger) -> None:
    """A gate without acknowledgements."""
    plant = Plant(ledger, PassivePlc())
    plant.live(reached=False)
    assert plant.events() == []


@pytest.fixture
def new_plant(tmp_path: Path) -> Iterator[Plant]:
    """A ledger that took nothing yet (its disk was full until the daemon was killed); the PLC acted upon 60 parts."""
    ledger = SqliteLedger(tmp_path / "new.sqlite", DEVICE, encoder(DEVICE))
    plant = Plant(ledger, CountingPlc())
    plant.plc._acknowledged = 60
    yield plant
    ledger.close()


def test_parts_from_before_the_first_record_are_told_of_as_such(new_plant) -> None:
    """Nothing tells which of them were ours; that some may lack a record is a record itself, once there is a part."""
    assert new_plant.live(reached=True).last == 60
    assert (new_plant.interrupted(), new_plant.events()) == ([], ["parts_unknown"])
    new_plant.commit(61)
    new_plant.plc._acknowledged = 61
    assert new_plant.live(reached=True).last == 61
    assert new_plant.events() == ["parts_unknown"]


def test_a_new_ledger_asks_a_plc_that_was_away_at_its_first_start(new_plant) -> None:
    """However late: also behind parts that were committed meanwhile, and once."""
    new_plant.live(reached=False)
    new_plant.commit(61, 62)
    new_plant.live(reached=True)
    assert new_plant.events() == ["plc_not_asked", "parts_unknown", "plc_asked"]
    new_plant.live(reached=True)
    assert len(new_plant.events()) == 3


def test_a_plc_that_has_acted_upon_nothing_leaves_nothing_open(new_plant) -> None:
    """The first start of a new line, its PLC switched on a moment later."""
    new_plant.plc._acknowledged = 0
    life = new_plant.live(reached=False)
    life.reach_plc()
    new_plant.ledger.append(life.waiting())
    assert new_plant.events() == ["plc_not_asked", "plc_asked"]
