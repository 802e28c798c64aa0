"""What goes wrong in one run of the real processes, and when: drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dice import dice
from schedule import Fault

if TYPE_CHECKING:
    import random

KINDS: dict[str, tuple[str, ...]] = {
    "daemon": ("killed", "paused", "short_of_memory"),
    "broker": ("killed", "queue_lost", "paused", "refusing", "wrong_certificate"),
    "plc": ("killed", "paused", "hang", "late_request", "late_reply", "wrong_address", "repeated_reply", "disconnect"),
    "folder": ("vanished", "half", "wrong_size", "lost"),
    "serial": ("replugged",),
    "disk": ("full", "slow", "read_only", "failing"),
    "ledger": ("corrupt",),
    "thread": ("stopped",),
    "clock": ("year_ahead", "year_back"),
    "config": ("torn",),
    "belt": ("overload",),
    "model": ("installed", "taken_back", "install_killed", "refused", "damaged"),
}
"""Device → what can be wrong with it."""
_WEIGHTS = {
    "daemon": 4,
    "broker": 5,
    "plc": 5,
    "folder": 3,
    "serial": 2,
    "disk": 4,
    "ledger": 2,
    "thread": 2,
    "clock": 1,
    "config": 1,
    "belt": 1,
}
_LONGEST_S = {"daemon": 4.0, "broker": 12.0, "plc": 6.0, "folder": 5.0, "disk": 8.0, "belt": 1.0, "thread": 5.0}
BURST = 10
MODEL_SHARE = 0.4
"""In so many schedules releases come; drawn apart, so that a seed's other faults do not depend on it."""
MOST_MODELS = 2
FLAPPING_SHARE = 0.15
"""In so many the broker comes and goes; likewise drawn apart."""


@dataclass(frozen=True, slots=True)
class PlantSchedule:
    """One run."""

    seed: int
    line_s: float
    parts_per_s: float
    faults: tuple[Fault, ...]
    link: str = "tcp"
    """To the PLC: "tcp" or "serial"."""

    @property
    def releases(self) -> tuple[str, ...]:
        """What is the matter with those that come, in their order; none: the line runs a file."""
        return tuple(fault.kind for fault in self.faults if fault.device == "model")

    def times_ns(self, start_ns: int) -> tuple[int, ...]:
        """When each part is at the trigger sensor."""
        drawn = dice(f"plant belt/{self.seed}")
        bursts = [(f.begin_s, f.begin_s + f.duration_s) for f in self.faults if f.device == "belt"]
        times, at_s = [], 0.0
        while at_s < self.line_s:
            times.append(start_ns + round(at_s * 1e9))
            fast = BURST if any(begin <= at_s < end for begin, end in bursts) else 1
            at_s += drawn.uniform(0.8, 1.2) / (self.parts_per_s * fast)
        return tuple(times)


def draw_plant(seed: int, line_s: float, without: frozenset[str] = frozenset()) -> PlantSchedule:
    """The schedule of this number; devices in `without` cannot be put in trouble on this machine."""
    drawn = dice(f"plant/{seed}")
    faults = [_fault(drawn, line_s) for _ in range(drawn.randint(2, 6))]
    faults += _models(dice(f"plant model/{seed}"), line_s)
    faults += _flapping(dice(f"plant flapping/{seed}"), line_s)
    kept = sorted((fault for fault in faults if fault.device not in without), key=lambda fault: fault.begin_s)
    is_serial = any(fault.device == "serial" for fault in kept)
    return PlantSchedule(seed, line_s, drawn.choice((4.0, 6.0, 8.0)), tuple(kept), "serial" if is_serial else "tcp")


def _models(drawn: random.Random, line_s: float) -> list[Fault]:
    """Releases that come; in half of these schedules the daemon is killed while one of them is on its way."""
    if drawn.random() >= MODEL_SHARE:
        return []
    found = [
        Fault("model", kind, round(drawn.uniform(2.0, line_s * 0.6), 3), round(drawn.uniform(0.5, 12.0), 3))
        for kind in drawn.sample(KINDS["model"], drawn.randint(1, MOST_MODELS))
    ]
    if drawn.random() < 0.5:
        at_s = min(found[0].begin_s + drawn.uniform(0.0, 10.0), line_s - 1.0)
        found.append(Fault("daemon", "killed", round(at_s, 3), 1.0))
    return found


def _flapping(drawn: random.Random, line_s: float) -> list[Fault]:
    """The broker is killed, comes back, and is killed again before things have settled."""
    if drawn.random() >= FLAPPING_SHARE:
        return []
    begin_s = drawn.uniform(1.0, line_s * 0.6)
    return [Fault("broker", "killed", round(begin_s + 2.0 * n, 3), 1.0) for n in range(drawn.randint(3, 5))]


def _fault(drawn: random.Random, line_s: float) -> Fault:
    device = drawn.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    kind = drawn.choice(KINDS[device])
    begin_s = drawn.uniform(1.0, max(line_s - 3.0, 1.5))
    duration_s = min(drawn.choice((0.3, 1.0, 3.0, 8.0)) * drawn.uniform(0.5, 1.5), _LONGEST_S.get(device, 5.0))
    return Fault(device, kind, round(begin_s, 3), round(min(duration_s, line_s / 2), 3))
