"""A whole line on twins and simulated time, run through one schedule of faults: `run(schedule, folder)`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from baton import World, WorldClock
from damage import Damages, is_sound
from dice import dice
from grey_bundle import GreyInspector, grey_bundle
from quiet_log import QuietLog
from schedule import MS, S
from simulated_outcome import Life, Outcome
from simulated_releases import SimulatedReleases
from trouble import TimedBelt, Trouble
from troubled import TroubledBroker, TroubledCamera, TroubledDetector, TroubledLink
from troubled_ledger import TroubledLedger

from edge_runtime import ledger as ledgers
from edge_runtime.app.devices import Devices
from edge_runtime.app.line import build_line
from edge_runtime.broker.encoding import encoder
from edge_runtime.config.line import LineConfig
from edge_runtime.detectors.generic import GenericDetector
from edge_runtime.domain.recipe import GateMode
from edge_runtime.engine.sim import SimulatedEngine
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.plc.handshake import HandshakePlc
from edge_runtime.plc.model import EJECTOR_COIL, RESULT_ADDRESS, STATUS_ADDRESS, SimulatedPlcModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from damage import Records
    from schedule import Fault, Schedule

    from edge_runtime.plc.model import CoilEntry, ResultEntry

DEVICE = "line"
TICK_NS = 200 * MS
START_TAKES_NS = 1_500 * MS
RESTART_AFTER_NS = 2_000 * MS
WATCHDOG_NS = 10 * S
"""As in systemd/edge-runtime.service."""
SETTLE_WITHIN_NS = 120 * S


class SimulatedPlant:
    """Belt, PLC, broker and disk, which outlive the daemon; and the daemon, which is killed and started again."""

    def __init__(
        self, schedule: Schedule, folder: Path, on_commit: Callable[[Sequence[Any], Sequence[int]], None] | None = None
    ) -> None:
        self.schedule = schedule
        self.world = World(schedule.seed)
        self.clock = WorldClock(self.world)
        self._folder = folder
        self._on_commit = on_commit
        start_ns = self.world.now_ns + START_TAKES_NS + 500 * MS
        self.start_ns = start_ns
        self.belt = TimedBelt(schedule.seed, schedule.times_ns(start_ns), schedule.travel_ms * MS, schedule.parts_per_s)
        self.acknowledged: list[tuple[int, int]] = []
        mode = GateMode(schedule.gate)
        self.plc = SimulatedPlcModel(self.belt, mode=mode, keep=None, on_entry=self._took_over)
        self.troubles = {name: Trouble(f"{name}/{schedule.seed}") for name in ("camera", "engine", "plc", "ledger")}
        self.releases = self._releases() if schedule.has_releases else None
        self.outcome = Outcome(schedule, self.belt, self.plc, acknowledged=self.acknowledged)
        self._damages = Damages()

    def run(self) -> Outcome:
        """From the first part to the last one past the gate, every trouble over and every record delivered."""
        store = nullcontext() if self.releases is None else self.releases.installed()
        with self.world.installed(), QuietLog() as states, store:
            self.broker = TroubledBroker(self.world)
            self._memory = MemoryLedger(encoder(DEVICE))
            self._kills: list[int] = []
            self._plan()
            self._start()
            self._supervise()
            self._settle()
            self.line.stop(10.0)
            self._collect(states)
        return self.outcome

    # the daemon

    def _start(self) -> None:
        world = self.world
        if self.outcome.lives:
            world.sleep(RESTART_AFTER_NS)
        world.sleep(START_TAKES_NS)
        config = self._config()
        world.group = "daemon"
        model = self._file() if self.releases is None else self.releases.first(config)
        world.group = "harness"
        while self.troubles["ledger"].holds("no_memory"):  # it ends at once, and systemd starts it again
            world.sleep(RESTART_AFTER_NS)
        world.group = "daemon"
        self._ledger = self._open_ledger()
        self.troubles["ledger"].end_all("corrupt")
        devices = Devices(
            **model,
            camera=TroubledCamera(config.camera, self.clock, self.belt, world, self.troubles["camera"]),
            plc=HandshakePlc(
                TroubledLink(self.plc, world, self.troubles["plc"]),
                result_address=RESULT_ADDRESS,
                status_address=STATUS_ADDRESS,
                ejector_coil=EJECTOR_COIL,
            ),
            ledger=TroubledLedger(self._ledger, world, self.troubles["ledger"], self._on_commit),
            broker=self.broker,
            simulated_plc=self.plc,
        )
        self._fed_ns = world.now_ns
        self.line = build_line(config, devices, self.clock, progress=self._feed)
        self.line.start()
        world.group = "harness"
        self.outcome.lives.append(Life(world.now_ns))

    def _file(self) -> dict[str, Any]:
        """A line that runs a file, which is loaded once."""
        detector = GenericDetector(*grey_bundle(), SimulatedEngine())
        usual_ns = round(self.schedule.inspect_ms * MS)
        return {"inspector": GreyInspector(TroubledDetector(detector, self.world, self.troubles["engine"], usual_ns))}

    def _releases(self) -> SimulatedReleases:
        return SimulatedReleases(self.schedule, self._folder, self.world, self.clock, self.troubles)

    def _feed(self) -> None:
        self._fed_ns = self.world.now_ns

    def _kill(self) -> None:
        world = self.world
        world.kill("daemon")
        self.outcome.lives[-1].ended_ns = world.now_ns
        self._note_counters()
        if self.schedule.ledger == "disk":
            self._ledger.close()
        if self.releases is not None:
            self.releases.close_daemons()
        self.broker.stop(0)

    def _open_ledger(self) -> Any:
        if self.schedule.ledger == "memory":
            return self._memory
        return ledgers.create(self._config().ledger, self._folder / "ledger.sqlite", DEVICE, encoder(DEVICE))

    def _config(self) -> LineConfig:
        schedule = self.schedule
        tables = {} if self.releases is None else self.releases.tables
        return LineConfig.model_validate(
            {
                "device": {"name": DEVICE, "state_dir": str(self._folder)},
                "bundle": {"path": "unused"},
                "camera": {"kind": "sim"},
                "plc": {"kind": "sim"},
                "plc_link": {"watch_trigger_count": True, "trigger_timeout_ms": 200, "acknowledge_timeout_ms": 100},
                "recipe": {
                    "gate": schedule.gate,
                    "decision_deadline_ms": schedule.deadline_ms,
                    "reject": {"delay_ms": schedule.travel_ms, "pulse_ms": 20},
                },
                "evidence": {"enabled": False},
                "ledger": {"reserve_mb": 1},
                "ops": {"inspect_queue": 4},
                "engine": {"at_once": schedule.at_once},
                **tables,
            }
        )

    # what happens

    def _plan(self) -> None:
        for fault in self.schedule.faults:
            begin_ns = self.start_ns + round(fault.begin_s * S)
            self.world.call_at(begin_ns, lambda fault=fault: self._begin(fault))

    def _begin(self, fault: Fault) -> None:
        duration_ns = round(fault.duration_s * S)
        end_ns = self.world.now_ns + duration_ns
        match fault.device, fault.kind:
            case "broker", kind:
                self.broker.begin(kind, end_ns)
            case "clock", kind:
                year_ns = 365 * 86_400 * S
                self.world.wall_offset_ns += year_ns if kind == "year_ahead" else -year_ns
            case "stage", name:
                self.world.freeze(duration_ns, name)
            case "process", "paused":
                self.world.freeze(duration_ns)
            case "process", _:
                self._kills.append(self.world.now_ns)
            case "belt", _:
                pass  # the belt's times know it
            case "ledger", "corrupt":
                self._damage_ledger()
            case "model", kind:
                assert self.releases is not None
                self.releases.begin(kind, end_ns)
            case device, kind:
                trouble = self.troubles[device]
                number = trouble.begin(kind, fault.share)
                self.world.call_at(end_ns, lambda: trouble.end(number))

    def _damage_ledger(self) -> None:
        """It stays damaged until it is begun anew or the daemon is started again."""
        self.troubles["ledger"].begin("corrupt")
        file = self._folder / "ledger.sqlite"
        if self.schedule.ledger == "disk" and not self._kills and is_sound(file):
            self._damages.strike(file, dice(f"damage/{self.schedule.seed}/{self._damages.times}"))

    def _supervise(self) -> None:
        world = self.world
        end_ns = self.belt.times_ns[-1] + self.belt.travel_ns + 1 * S
        while world.now_ns < end_ns:
            if self._kills or world.now_ns - self._fed_ns > WATCHDOG_NS:
                self._kills.clear()
                self._kill()
                self._start()
            self.line.tick()
            world.sleep(TICK_NS)
        last_fault_ns = max(
            (self.start_ns + round((f.begin_s + f.duration_s) * S) for f in self.schedule.faults), default=0
        )
        world.sleep_until(last_fault_ns + TICK_NS)

    def _settle(self) -> None:
        until_ns = self.world.now_ns + SETTLE_WITHIN_NS
        stages = self.line.stages
        releases = self.releases
        while self.world.now_ns < until_ns and (
            (releases is not None and not releases.is_settled(self.line))
            or stages.record.waiting
            or self._ledger.backlog() > 0
        ):
            self.line.tick()
            self.world.sleep(TICK_NS)

    def _took_over(self, entry: ResultEntry | CoilEntry) -> None:
        result = getattr(entry, "result", None)
        if result is not None:
            self.acknowledged.append((entry.received_ns, result.part_sequence))

    # the books

    def _collect(self, states: list[str]) -> None:
        if left := [task.name for task in self.world.tasks if task.group == "daemon" and not task.done]:
            self.outcome.left_behind = left
            self.world.kill("daemon")
            self._ledger.close()
        self.outcome.states = states
        self.outcome.switches = self.world.switches
        self._note_counters()
        ledger = self._open_ledger() if self.schedule.ledger == "disk" else self._memory
        if self.schedule.ledger == "memory":
            ledger._closed = False
        rows = {row.sequence: (str(row.channel), row.payload) for row in reversed(ledger.recent(10_000_000))}
        self.outcome.ledger = _messages(rows | self._damages.before)
        self.outcome.damages = self._damages.times
        self.outcome.destroyed = self._damages.destroyed(self._folder / "ledger.sqlite", rows)
        if self.schedule.ledger == "disk":
            ledger.close()
        if self.releases is not None:
            self.releases.close_daemons()
            self.outcome.releases = self.releases.close()
        self.outcome.delivered = [_message(str(row.channel), row.payload) for row in self.broker.delivered]
        self.plc.advance(self.world.now_ns)

    def _note_counters(self) -> None:
        gate, outcome = self.line.monitor.gate, self.outcome
        for name in (
            "planned_rejects",
            "rejects_in_time",
            "rejects_missed",
            "passes_granted",
            "passes_lost",
            "link_errors",
        ):
            outcome.gate[name] = outcome.gate.get(name, 0) + getattr(gate, name)
        for name, count in self.line.dropped().items():
            outcome.dropped[name] = outcome.dropped.get(name, 0) + count
        outcome.lost_records += self.line.stages.record.lost


def _messages(rows: Records) -> list[dict[str, Any]]:
    return [_message(*rows[sequence]) for sequence in sorted(rows)]


def _message(channel: str, payload: bytes) -> dict[str, Any]:
    return {"channel": channel} | json.loads(payload)


def run(schedule: Schedule, folder: Path) -> Outcome:
    """One schedule, from beginning to end."""
    return SimulatedPlant(schedule, folder).run()
