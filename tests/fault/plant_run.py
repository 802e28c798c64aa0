"""One schedule of faults on the real processes: daemon, Mosquitto, PLC, belt. `PlantRun(…).run()` gives an audit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from dice import dice
from line_process import DEMO_BUNDLE, free_port
from plant_books import PlantAudit, PlantFacts, audit
from plant_broker import PlantBroker
from plant_config import CONFIG, FILE, RELEASES, SERIAL_PLC, TCP_PLC
from plant_parts import PlantDaemon, PlantDisk, PlantPlc, Shim
from plant_releases import PlantReleases
from plant_troubles import PlantTroubles
from plug_cable import PlugCable
from release_books import ReleaseFacts

from edge_runtime.app.soak.auditor import Auditor
from edge_runtime.camera.sim_scene import render_part
from edge_runtime.ledger.reader import LedgerReader
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from plant_schedule import PlantSchedule
    from schedule import Fault

    from edge_runtime.app.soak.belt import Picture

S = 1_000_000_000
BELT_AFTER_S = 2.5
"""The daemon needs its time to start."""
TRAVEL_MS = 2_000
LOOK_S = 0.02
SETTLE_WITHIN_S = 240.0
"""An installation with its self-test takes minutes on a machine that has no time for it."""
JUST_STARTED_NS = S
JUST_KILLED_NS = 4 * S
"""A part without a picture takes so long to be given up and committed (`trigger_timeout_ms` and room)."""


class PlantRun:
    """Starts everything, lets the belt run through the schedule, heals, settles, stops, compares."""

    def __init__(self, schedule: PlantSchedule, pictures: Sequence[Picture], work: Path, stack: ExitStack) -> None:
        self.schedule = schedule
        self._pictures = pictures
        self._work = work
        self._folder = work / "in"
        self._folder.mkdir(parents=True)
        self._config = work / "line.toml"
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._given = 0
        self._withheld: list[tuple[str, bytes]] = []
        self._never_seen: list[int] = []
        self._trouble: str | None = None
        self._open_disk(stack)
        self._start_ns = time.monotonic_ns() + round(BELT_AFTER_S * S)
        self.times_ns = schedule.times_ns(self._start_ns)
        self._shown = [(7 * schedule.seed + 13 * n) % len(pictures) for n in range(len(self.times_ns))]
        self._open_peers(stack)
        self.auditor = Auditor("127.0.0.1", self.broker.port, "5", "plant")
        stack.callback(self.auditor.close)
        self.daemon = PlantDaemon(self._config, work / "daemon.log", self.shim.environment)
        stack.callback(self.daemon.stop)
        self._troubles = PlantTroubles(
            self.broker,
            self.plc,
            self.cable,
            self.disk,
            self.shim,
            self.daemon,
            self.auditor,
            self._config,
            self.releases,
            dice(f"plant troubles/{schedule.seed}"),
        )

    def _open_disk(self, stack: ExitStack) -> None:
        """The daemon's disk, with its releases, where it has some."""
        self.disk = PlantDisk(self._work / "state")
        stack.callback(self.disk.close)
        self.shim = Shim(self._work)
        stack.callback(self.shim.close)
        self.shim.set(Shim.DEVICE, self.disk.place.stat().st_dev)
        self.releases: PlantReleases | None = None
        if kinds := self.schedule.releases:
            self.releases = PlantReleases(self._work, self.disk.place, self._config, kinds)
            stack.callback(self.releases.close)

    def _open_peers(self, stack: ExitStack) -> None:
        """Broker and PLC, and the configuration that names them."""
        work, belt = self._work, self._work / "belt.json"
        truth = [self._pictures[shown].passes for shown in self._shown]
        belt.write_text(json.dumps({"times_ns": self.times_ns, "passes": truth, "travel_ns": TRAVEL_MS * 1_000_000}))
        self.broker = PlantBroker(work / "mosquitto", with_tls=True)
        stack.callback(self.broker.close)
        self.cable = PlugCable(work / "by-id") if self.schedule.link == "serial" else None
        if self.cable is not None:
            stack.callback(self.cable.close)
        link = free_port() if self.cable is None else self.cable.plc_device
        self.plc = PlantPlc(belt, link, work / "gate.jsonl")
        self.plc.start()
        stack.callback(self.plc.close)
        plc = TCP_PLC.format(port=link) if self.cable is None else SERIAL_PLC.format(device=self.cable.link)
        bundle = FILE.format(path=DEMO_BUNDLE) if self.releases is None else RELEASES
        broker = {"broker": self.broker.tls_port, "authority": self.broker.authority}
        self._config.write_text(CONFIG.format(work=work, bundle=bundle, plc=plc, **broker))

    def run(self) -> PlantAudit:
        """See above."""
        self.daemon.look_after()
        for fault in self.schedule.faults:
            begin_ns = self._start_ns + round(fault.begin_s * S)
            self._later(begin_ns, lambda fault=fault: self._begin(fault))
        end_ns = self.times_ns[-1] + TRAVEL_MS * 1_000_000 + S
        while time.monotonic_ns() < end_ns or self._agenda:
            self._turn()
        until_ns = time.monotonic_ns() + round(SETTLE_WITHIN_S * S)
        while time.monotonic_ns() < until_ns and not self._is_settled():
            self._turn()
        code = self.daemon.stop()
        self.plc.close()
        return audit(self._facts(code))

    def _turn(self) -> None:
        now_ns = time.monotonic_ns()
        while self._agenda and self._agenda[0][0] <= now_ns:
            self._agenda.pop(0)[2]()
        while self._given < len(self.times_ns) and self.times_ns[self._given] <= now_ns:
            self._give(self._given + 1)
        self.daemon.look_after()
        time.sleep(LOOK_S)

    def _later(self, instant_ns: int, act: Callable[[], None]) -> None:
        self._agenda.append((instant_ns, len(self._agenda), act))
        self._agenda.sort(key=lambda entry: entry[:2])

    # the belt

    def _give(self, part: int) -> None:
        self._given = part
        content = self._pictures[self._shown[part - 1]].content
        match self._trouble:
            case "lost":
                self._never_seen.append(part)
                return
            case "half":
                content = content[: len(content) // 2]
            case "wrong_size":
                content = _small()
            case "vanished":
                self._withheld.append((f"part-{part:06d}", content))
                return
        self._put(f"part-{part:06d}", content)

    def _put(self, name: str, content: bytes) -> None:
        partial = self._folder / f"{name}.part"
        partial.write_bytes(content)
        partial.rename(partial.with_suffix(".png"))

    def _vanish(self) -> None:
        """The share is gone, with what was on it."""
        if self._folder.exists():
            self._folder.rename(self._work / "share")

    def _reappear(self) -> None:
        if not self._folder.exists():
            (self._work / "share").rename(self._folder)
        for name, content in self._withheld:
            self._put(name, content)
        self._withheld = []

    # what goes wrong

    def _begin(self, fault: Fault) -> None:
        end = self._trouble_folder(fault.kind) if fault.device == "folder" else self._troubles.begin(fault)
        if end is not None:
            self._later(time.monotonic_ns() + round(fault.duration_s * S), end)

    def _trouble_folder(self, kind: str) -> Callable[[], None]:
        self._trouble = kind
        if kind == "vanished":
            self._vanish()

        def end() -> None:
            self._trouble = None
            self._reappear()

        return end

    # the books

    def _is_settled(self) -> bool:
        if self.releases is not None and not self.releases.is_settled():
            return False
        return not any(self._folder.glob("*.png")) and self.auditor.distinct_parts >= self._given - len(self._nobodys())

    def _facts(self, code: int) -> PlantFacts:
        with closing(LedgerReader(self.disk.place / "ledger.sqlite")) as reader:
            extent = reader.extent()
            rows = reader.records(extent.base.sequence + 1, extent.newest)
            kept = {sequence: payload for sequence, _, payload, _ in rows}
        damages = self._troubles.damages
        committed = {sequence: payload for sequence, (_, payload) in damages.before.items()} | kept
        command = [sys.executable, "-m", "edge_runtime", "ledger", "verify", str(self.disk.place), "--json"]
        verified = subprocess.run(command, check=False, capture_output=True, text=True)
        return PlantFacts(
            schedule=self.schedule,
            truth=[self._pictures[shown].passes for shown in self._shown],
            messages=[json.loads(committed[sequence]) for sequence in sorted(committed)],
            destroyed=damages.destroyed(self.disk.place / "ledger.sqlite", kept.keys()),
            damages=damages.times,
            releases=ReleaseFacts() if self.releases is None else self.releases.close(),
            passed=self.plc.passed(),
            nobodys=self._nobodys(),
            auditor=self.auditor,
            starts=self.daemon.starts,
            kills=self.daemon.kills,
            exit_code=code,
            unverified=None if verified.returncode == 0 else verified.stdout + verified.stderr,
        )

    def _nobodys(self) -> list[int]:
        return [n for n in self._never_seen if not self._somebody_was_there(n)]

    def _somebody_was_there(self, part: int) -> bool:
        at_ns = self.times_ns[part - 1]
        return any(begin + JUST_STARTED_NS <= at_ns < end - JUST_KILLED_NS for begin, end in self.daemon.up_ns)


def _small() -> bytes:
    """A picture of another size, and of a bad part: resized it must not pass."""
    return encode_png(render_part(1, 5, defective=True, width_px=64, height_px=48))
