"""When the repository is asked, and when something may be installed. Pure: instants and dice are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE_NS: Final = 60_000_000_000
RETRY_NS: Final = 5 * MINUTE_NS
"""A check that was cut goes on after this, if that is sooner than the next regular one."""
ASKED_JITTER_NS: Final = 10_000_000_000
"""A check that was asked for comes within this: one message may ask all devices of a plant."""


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the local day, the end excluded; over midnight where the end is smaller."""

    begin_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """From `22:00-04:30`."""
        begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
        return cls(begin, end)

    def is_open(self, minute_of_day: int) -> bool:
        """Whether something may be installed now."""
        if self.begin_min <= self.end_min:
            return self.begin_min <= minute_of_day < self.end_min
        return minute_of_day >= self.begin_min or minute_of_day < self.end_min


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often to ask."""

    every_ns: int
    jitter_ns: int

    def first(self, now_ns: int, dice: float) -> int:
        """After a start: soon, but not all devices at once when the plant's power comes back. `dice` is in 0…1."""
        return now_ns + round(self.jitter_ns * dice)

    def after(self, ended_ns: int, dice: float, *, cut: bool) -> int:
        """After a check that ended then; `cut`: it could not be finished."""
        pause_ns = min(self.every_ns, RETRY_NS) if cut else self.every_ns
        return ended_ns + pause_ns + round(self.jitter_ns * dice)

    def asked(self, now_ns: int, dice: float) -> int:
        """Somebody asked for a check now."""
        return now_ns + round(min(self.jitter_ns, ASKED_JITTER_NS) * dice)
