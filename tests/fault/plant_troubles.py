"""What is done to the processes and places of a plant, and how it ends."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from damage import Damages, is_sound
from plant_parts import ERRNOS, Shim
from subscriber_first import with_subscriber_first

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from plant_broker import PlantBroker
    from plant_parts import PlantDaemon, PlantDisk, PlantPlc
    from plant_releases import PlantReleases
    from plug_cable import PlugCable
    from schedule import Fault

    from edge_runtime.app.soak.auditor import Auditor

    End: TypeAlias = Callable[[], None] | None

S = 1_000_000_000
RESTART_AFTER_S = 1.0
YEAR_S = 365 * 86_400
SLOW_SYNC_MS = 1_500
SPARE_MEMORY_MB = 2


@dataclass(slots=True)
class PlantTroubles:
    """Everything but the watched folder, which is the belt's."""

    broker: PlantBroker
    plc: PlantPlc
    cable: PlugCable | None
    disk: PlantDisk
    shim: Shim
    daemon: PlantDaemon
    auditor: Auditor
    config: Path
    releases: PlantReleases | None
    drawn: random.Random
    damages: Damages = field(default_factory=Damages)

    def begin(self, fault: Fault) -> End:
        """Do it; what ends it, where it does not end by itself."""
        doing: dict[str, Callable[[str], End]] = {
            "daemon": self._daemon,
            "broker": self._broker,
            "plc": self._plc,
            "serial": self._serial,
            "disk": self._disk,
            "ledger": self._ledger,
            "thread": self._thread,
            "clock": self._clock,
            "config": self._config,
            "belt": lambda _: None,  # its times know it
            "model": self._model,
        }
        return doing[fault.device](fault.kind)

    def _daemon(self, kind: str) -> End:
        match kind:
            case "killed":
                self._kill()
                return None
            case "paused":
                self.daemon.signal(signal.SIGSTOP)
                return lambda: self.daemon.signal(signal.SIGCONT)
        self.daemon.limit_memory(SPARE_MEMORY_MB)
        return lambda: self.daemon.limit_memory(None)

    def _kill(self) -> None:
        self.daemon.not_before_ns = time.monotonic_ns() + round(RESTART_AFTER_S * S)
        self.daemon.signal(signal.SIGKILL)

    def _broker(self, kind: str) -> End:
        match kind:
            case "paused":
                self.broker.pause(signal.SIGSTOP)
                return lambda: self.broker.pause(signal.SIGCONT)
            case "refusing":
                self.broker.refuse(closed=True)
                return lambda: self.broker.refuse(closed=False)
            case "wrong_certificate":
                self._with_subscriber_first(lambda: self.broker.show_certificate(of_a_stranger=True))
                return lambda: self._with_subscriber_first(lambda: self.broker.show_certificate(of_a_stranger=False))
        self.broker.down(forget=kind == "queue_lost")
        return lambda: self._with_subscriber_first(self.broker.up)

    def _with_subscriber_first(self, start_broker: Callable[[], None]) -> None:
        with_subscriber_first(start_broker, lambda: self.auditor.subscriptions, self.daemon.signal)

    def _plc(self, kind: str) -> End:
        match kind:
            case "killed":
                self.plc.kill()
                return self.plc.start
            case "paused":
                self.plc.pause(signal.SIGSTOP)
                return lambda: self.plc.pause(signal.SIGCONT)
        self.plc.inject(f"{kind} 30 300")
        return lambda: self.plc.inject("clear")

    def _serial(self, kind: str) -> End:
        del kind
        if self.cable is None:
            return None
        self.cable.unplug()
        return self.cable.plug

    def _disk(self, kind: str) -> End:
        if kind == "full":
            self.disk.fill()
            return self.disk.free
        place, value = (Shim.SLOW_MS, SLOW_SYNC_MS) if kind == "slow" else (Shim.ERRNO, ERRNOS[kind])
        self.shim.set(place, value)
        return lambda: self.shim.set(place, 0)

    def _ledger(self, kind: str) -> End:
        """A power cut that took pages of the ledger with it."""
        del kind
        ledger = self.disk.place / "ledger.sqlite"
        self._kill()
        if ledger.exists() and is_sound(ledger):
            self.damages.strike(ledger, self.drawn)
        return None

    def _thread(self, kind: str) -> End:
        del kind
        self.daemon.stop_thread(self.drawn.choice)
        return self.daemon.let_go

    def _clock(self, kind: str) -> End:
        self.shim.set(Shim.AHEAD_S, YEAR_S if kind == "year_ahead" else -YEAR_S)
        return lambda: self.shim.set(Shim.AHEAD_S, 0)

    def _model(self, kind: str) -> End:
        assert self.releases is not None
        return self.releases.begin(kind)

    def _config(self, kind: str) -> End:
        del kind
        whole = self.config.read_text()
        self.config.write_text(whole[: len(whole) // 2])
        self.daemon.signal(signal.SIGHUP)
        return lambda: _write(self.config, whole)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
