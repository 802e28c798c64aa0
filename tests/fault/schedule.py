"""What goes wrong in one run, and when: drawn from a seed, so that the same number always gives the same schedule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dice import dice

if TYPE_CHECKING:
    import random

MS = 1_000_000
S = 1_000_000_000
BEFORE_FIRST_S = 2.0
AFTER_LAST_S = 2.0
BURST = 10
"""In an overload parts come so many times as fast."""

KINDS: dict[str, tuple[str, ...]] = {
    "camera": ("lost", "frozen", "half", "wrong_size", "late", "no_memory"),
    "engine": ("throws", "crashes", "no_memory", "nan", "infinite", "slow", "hangs"),
    "plc": ("hung", "slow", "lost_reply", "late_request", "wrong_address", "gone", "replugged"),
    "broker": ("away", "away_for_minutes", "flapping", "refusing", "over_quota", "queue_lost", "holding", "no_memory"),
    "ledger": ("full", "failing", "slow", "no_memory", "corrupt"),
    "clock": ("year_ahead", "year_back"),
    "stage": ("capture", "inspect", "dispatch", "record", "publish", "plc"),
    "process": ("paused", "killed"),
    "belt": ("overload",),
    "model": ("confirmed", "taken_back", "nonsense", "rejecting", "hanging", "refused", "damaged", "rotten"),
}
"""Device → what can be wrong with it."""
_WEIGHTS = {
    "camera": 4,
    "engine": 4,
    "plc": 5,
    "broker": 4,
    "ledger": 3,
    "clock": 1,
    "stage": 2,
    "process": 2,
    "belt": 2,
}
_LONGEST_S = {"broker": 15.0, "ledger": 6.0, "stage": 5.0, "process": 4.0, "belt": 2.0, "engine": 6.0}
MINUTES_S = (60.0, 180.0)
SLOW_BELT_PER_S = 4.0
"""While a broker is away for minutes parts go on coming, at this rate."""
COMPOUND_SHARE = 0.3
"""So many schedules hold a kill in the middle of another trouble."""
MODEL_SHARE = 0.35
"""In so many of them releases come; drawn apart, so that a seed's other faults do not depend on it."""
MOST_MODELS = 4
_PARTIAL = {"camera", "engine", "plc", "ledger"}
"""Where a fault may strike only some of the calls."""
_WHOLE = {"hangs", "gone", "replugged", "corrupt"}
"""And those that never do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one device. Times in seconds of line time from the first part."""

    device: str
    kind: str
    begin_s: float
    duration_s: float
    share: float = 1.0
    """How many of the calls suffer."""

    def __str__(self) -> str:
        some = "" if self.share == 1.0 else f", {self.share:.0%} of the calls"
        return f"{self.begin_s:6.2f} s + {self.duration_s:5.2f} s  {self.device}: {self.kind}{some}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run."""

    seed: int
    line_s: float
    parts_per_s: float
    inspect_ms: float
    travel_ms: int
    deadline_ms: int
    gate: str
    ledger: str
    faults: tuple[Fault, ...]
    at_once: int = 1
    """`engine.at_once`; never drawn."""

    @property
    def has_releases(self) -> bool:
        """Whether the line takes its models from a store of releases; else it runs a file."""
        return any(fault.device == "model" for fault in self.faults)

    def times_ns(self, start_ns: int) -> tuple[int, ...]:
        """When each part is at the trigger sensor: evenly with a little jitter, much faster in an overload."""
        drawn = dice(f"belt/{self.seed}")
        bursts = [(f.begin_s, f.begin_s + f.duration_s) for f in self.faults if f.device == "belt"]
        times, at_s = [], 0.0
        while at_s < self.line_s:
            times.append(start_ns + round(at_s * S))
            fast = BURST if any(begin <= at_s < end for begin, end in bursts) else 1
            at_s += drawn.uniform(0.8, 1.2) / (self.parts_per_s * fast)
        return tuple(times)


def draw(seed: int, line_s: float = 30.0) -> Schedule:
    """The schedule of this number."""
    drawn = dice(f"schedule/{seed}")
    found = [_fault(drawn, line_s) for _ in range(drawn.randint(3, 9))]
    if drawn.random() < COMPOUND_SHARE:
        found += _compound(drawn, line_s)
    found += _models(dice(f"schedule model/{seed}"), line_s)
    faults = sorted(found, key=lambda fault: fault.begin_s)
    # A daemon that is killed in gate mode fire passes everything: documented, and of no use as a test.
    gate = "fire" if drawn.random() < 0.15 else "permit"
    kept = [fault for fault in faults if gate == "permit" or fault.device not in {"process", "stage"}]
    until_s = max((f.begin_s + f.duration_s + AFTER_LAST_S for f in kept if f.kind == "away_for_minutes"), default=0.0)
    parts_per_s = drawn.choice((4.0, 8.0, 15.0, 25.0))
    return Schedule(
        seed=seed,
        line_s=max(line_s, until_s),
        parts_per_s=min(parts_per_s, SLOW_BELT_PER_S) if until_s else parts_per_s,
        inspect_ms=drawn.choice((3.0, 12.0, 30.0)),
        travel_ms=drawn.choice((600, 1_000, 2_500)),
        deadline_ms=drawn.choice((150, 300, 450)),
        gate=gate,
        ledger=drawn.choice(("disk", "memory")),
        faults=tuple(kept),
    )


def _compound(drawn: random.Random, line_s: float) -> list[Fault]:
    """A daemon that is killed while a device is in trouble, and finds it still in trouble when it comes back."""
    at_s = drawn.uniform(8.0, line_s - 8.0)
    held = [Fault("ledger", drawn.choice(("full", "slow", "failing")), at_s - 6.0, 6.5)]
    held.append(Fault("ledger", "corrupt", at_s - 0.01, 1.0))
    held.append(Fault("plc", drawn.choice(("gone", "hung", "lost_reply")), at_s - drawn.uniform(0.0, 2.0), 7.0))
    held.append(Fault("broker", drawn.choice(("away", "queue_lost")), at_s - 1.0, 6.0))
    chosen = drawn.sample(held, drawn.randint(1, 3))
    return [
        replace(fault, begin_s=round(fault.begin_s, 3)) for fault in (*chosen, Fault("process", "killed", at_s, 1.0))
    ]


def _models(drawn: random.Random, line_s: float) -> list[Fault]:
    """Releases that come, sound and bad ones; in half of these schedules a kill strikes one on its way."""
    if drawn.random() >= MODEL_SHARE:
        return []
    found = [
        Fault("model", kind, round(drawn.uniform(BEFORE_FIRST_S, line_s - 4.0), 3), round(drawn.uniform(0.5, 15.0), 3))
        for kind in drawn.sample(KINDS["model"], drawn.randint(1, MOST_MODELS))
    ]
    if drawn.random() < 0.5:
        at_s = min(found[0].begin_s + drawn.uniform(0.0, 6.0), line_s - 1.0)
        found.append(Fault("process", "killed", round(at_s, 3), 1.0))
    return found


def _fault(drawn: random.Random, line_s: float) -> Fault:
    device = drawn.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    kind = drawn.choice(KINDS[device])
    begin_s = drawn.uniform(BEFORE_FIRST_S, line_s - AFTER_LAST_S)
    duration_s = min(drawn.choice((0.2, 1.0, 3.0, 8.0)) * drawn.uniform(0.5, 1.5), _LONGEST_S.get(device, 10.0))
    if kind == "away_for_minutes":
        duration_s = drawn.uniform(*MINUTES_S)
    share = drawn.choice((1.0, 1.0, 0.5, 0.15)) if device in _PARTIAL and kind not in _WHOLE else 1.0
    return Fault(device, kind, round(begin_s, 3), round(duration_s, 3), share)
