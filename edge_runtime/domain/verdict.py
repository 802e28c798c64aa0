"""The verdict on a part, and the reasons for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_runtime.domain.combination import Combined


class Disposition(StrEnum):
    """What we say about a part. OPC 40001-101: PASS = OK, REJECT = NotOK, REVIEW = NotDecidable."""

    PASS = "PASS"  # noqa: S105  (a disposition, not a password)
    REVIEW = "REVIEW"
    REJECT = "REJECT"


class Reason(StrEnum):
    """Why the disposition is what it is. Everything but the first three is a fault."""

    BELOW_LIMIT = "below_limit"
    BETWEEN_LIMITS = "between_limits"
    ABOVE_LIMIT = "above_limit"
    TRIGGER_LOST = "trigger_lost"
    """The PLC counted a part for which no frame came."""
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_UNEXPECTED = "image_unexpected"
    """Wrong size, depth or number of exposures for this bundle."""
    PRODUCT_UNKNOWN = "product_unknown"
    """Which product the part is cannot be told, or no model of it may decide at this moment."""
    CAMERA_FROZEN = "camera_frozen"
    ENGINE_ERROR = "engine_error"
    SCORE_INVALID = "score_invalid"
    """NaN or infinite score."""
    DEADLINE_MISSED = "deadline_missed"
    OVERLOAD = "overload"
    INTERRUPTED = "interrupted"
    """Acted upon before a power cut, not yet committed; reconstructed at start-up."""
    STOPPING = "stopping"
    """The daemon was being stopped before the part could be inspected."""

    @property
    def is_fault(self) -> bool:
        """True where no sound score stands behind the verdict (OPC: Undefined)."""
        return self not in {Reason.BELOW_LIMIT, Reason.BETWEEN_LIMITS, Reason.ABOVE_LIMIT}


LATE: Final = frozenset({Reason.DEADLINE_MISSED, Reason.OVERLOAD})
"""No verdict in time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Two score limits: PASS at or below `review`, REJECT above `reject`, REVIEW between."""

    review: float
    reject: float

    def __post_init__(self) -> None:
        if not self.review <= self.reject:  # also refuses NaN
            message = f"limits must satisfy review ≤ reject, got {self.review} and {self.reject}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class BundleIdentity:
    """Which model spoke: enough for an auditor to find it again."""

    name: str
    version: str
    digest: str
    """SHA-256, hexadecimal: of the whole file in format 0, of `release.json` in format 1."""
    trust: str
    """"development" or "production"."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one answer to a trigger."""

    part_id: str
    part_sequence: int
    """Number of the part in the PLC handshake, 1…2³²−1."""
    frame_sequence: int
    disposition: Disposition
    reason: Reason
    score: float | None
    """None where no sound score exists."""
    limits: Limits
    bundle: BundleIdentity
    triggered_ns: int
    """Monotonic."""
    decided_ns: int
    """Monotonic."""
    triggered_wall_ns: int
    """UTC nanoseconds since 1970."""
    detail: str = ""
    """For faults: what happened, in words."""
    combined: Combined | None = None
    """What stands behind it where several models are combined."""
    was_held: bool = False
    """Late, and for most of its time an inspection of another line, far longer than usual, kept it from its turn."""
