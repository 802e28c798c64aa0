"""What a camera hands over: a trigger, and the exposures it led to, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import Reason

Exposure: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""One image: H×W (mono) or H×W×3 (RGB), uint8 or uint16, C-contiguous, read-only."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What makes a watched file itself, so that it is inspected exactly once across restarts."""

    path: str
    """Path relative to the watched folder, with forward slashes."""
    size_bytes: int
    mtime_ns: int
    digest: str
    """SHA-256 of the content, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One part announced to us. Every trigger gets exactly one Verdict."""

    sequence: int
    """Frame sequence of this camera since it was opened; first is 1."""
    part_id: str
    """Human-readable identity of the part, unique per device (a file name, or camera + counter)."""
    triggered_ns: int
    """Monotonic clock at the original trigger: the reject plan counts from here."""
    triggered_wall_ns: int
    """UTC nanoseconds since 1970 at the original trigger, for records only."""
    encoder_ticks: int | None = None
    """Belt encoder at the trigger, where the line has one."""
    part_sequence: int | None = None
    """Part number given by the PLC's handshake; None where the device numbers the parts itself."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A trigger with its image(s)."""

    trigger: Trigger
    exposures: tuple[Exposure, ...]
    """Usually one; several where a part is seen under several illuminations."""
    captured_ns: int
    """Monotonic clock when the exposures were complete in memory."""
    file: FileIdentity | None = None


@dataclass(frozen=True, slots=True)
class LostFrame:
    """A trigger without a usable image: it becomes a Verdict with this reason, never silence."""

    trigger: Trigger
    reason: Reason
    detail: str
    """What happened, for the record (which file, which error)."""
    file: FileIdentity | None = None
