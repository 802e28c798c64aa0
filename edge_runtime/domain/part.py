"""A part on its way from the trigger to the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Frame, LostFrame, Trigger

PART_SEQUENCE_MAX = 2**32 - 1
"""Part sequences run 1…2³²−1 and then start again at 1; 0 means "none"."""


def next_part_sequence(part_sequence: int) -> int:
    """The number after this one."""
    return part_sequence % PART_SEQUENCE_MAX + 1


@dataclass(frozen=True, slots=True)
class Part:
    """A trigger with its number in the PLC handshake and its deadline."""

    trigger: Trigger
    part_sequence: int
    deadline_ns: int
    """Monotonic; a decision after this is late."""
    arrival: Frame | LostFrame | None
    """What the camera delivered; None where the PLC counted a part that the camera never saw."""
