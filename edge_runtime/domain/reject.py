"""What goes to the gate for a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.domain.recipe import GateAction
    from edge_runtime.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class RejectCommand:
    """The planned gate action of one part."""

    part_id: str
    part_sequence: int
    action: GateAction
    verdict: Verdict
    fire_at_ns: int | None
    """Monotonic instant at which the part is at the gate; None where the encoder decides."""
    fire_at_ticks: int | None
    """Encoder position at which the part is at the gate; None where time decides."""
    expires_ns: int
    """Monotonic; after this the part is past the gate and the command would hit a neighbour.

    Where the encoder decides, this is only an upper bound on waiting (the belt may stand still).
    """
    pulse_ns: int
    expires_ticks: int | None = None
    """Encoder position after which the part is past the gate; None where time decides."""
