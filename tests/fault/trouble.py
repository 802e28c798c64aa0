"""The belt of a simulated run, and the knobs that put its devices in trouble."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass

from dice import dice

from edge_runtime.ops.belt import BeltPart

MS = 1_000_000
SIDE_PX = 8
GOOD, UNSURE, BAD = 60, 140, 220
"""Grey levels of the parts; the detector's score is the mean grey level."""
SAVED_AFTER_NS = 1_500 * MS
"""A broker that is killed has lost what it acknowledged more recently than this."""


@dataclass(frozen=True, slots=True)
class TimedBelt:
    """A belt whose parts come when `times_ns` says; the rest is as `BeltPlan`."""

    seed: int
    times_ns: tuple[int, ...]
    travel_ns: int
    parts_per_s: float
    dropped_trigger_rate: float = 0.01
    ticks_per_s: int = 1_000

    def grey(self, sequence: int) -> int:
        """What the part looks like."""
        return dice(f"{self.seed}/{sequence}").choices((GOOD, UNSURE, BAD), (80, 5, 15))[0]

    def would_pass(self, sequence: int) -> bool:
        """The truth: what the detector says of this part when nothing is wrong."""
        return self.grey(sequence) == GOOD

    def part(self, sequence: int) -> BeltPart | None:
        """See `BeltPlan`."""
        if not 1 <= sequence <= len(self.times_ns):
            return None
        dropped = dice(f"{self.seed}/trigger/{sequence}").random() < self.dropped_trigger_rate
        return BeltPart(sequence, self.times_ns[sequence - 1], not self.would_pass(sequence), dropped)

    def triggered_until(self, now_ns: int) -> int:
        """See `BeltPlan`."""
        return bisect.bisect_right(self.times_ns, now_ns)

    def encoder_at(self, now_ns: int) -> int:
        """See `BeltPlan`."""
        return max(0, (now_ns - self.times_ns[0]) * self.ticks_per_s // 1_000_000_000)


class Trouble:
    """Which trouble a device is in now; each lasts until it is ended. They may overlap: the last one rules."""

    def __init__(self, seed: str) -> None:
        self.random = dice(seed)
        self._current: list[tuple[int, str, float]] = []
        self._count = 0
        self.begun: Counter[str] = Counter()
        """How often each kind has begun."""

    def begin(self, kind: str, share: float = 1.0) -> int:
        """From now on `share` of the calls suffer; returns the number that ends it."""
        self._count += 1
        self.begun[kind] += 1
        self._current.append((self._count, kind, share))
        return self._count

    def holds(self, kind: str) -> bool:
        """Whether this one lasts, whichever rules."""
        return any(current == kind for _, current, _ in self._current)

    def end_all(self, kind: str) -> None:
        """All of this kind are over."""
        self._current = [entry for entry in self._current if entry[1] != kind]

    def end(self, number: int) -> None:
        """This one is over."""
        self._current = [entry for entry in self._current if entry[0] != number]

    @property
    def lasting(self) -> str | None:
        """The trouble as a state."""
        return self._current[-1][1] if self._current else None

    def now(self) -> str | None:
        """The trouble of the call that begins now."""
        if not self._current:
            return None
        _, kind, share = self._current[-1]
        return kind if share >= 1.0 or self.random.random() < share else None
