"""What can go wrong with a PLC, on purpose: hooks of the simulated PLC for tests and for trying out a line."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What happens to one exchange."""

    HANG = "hang"
    """The request is neither carried out nor answered."""
    LOST_REPLY = "lost_reply"
    """Carried out, never answered."""
    LATE_REPLY = "late_reply"
    """Carried out, answered after `delay_ms`."""
    LATE_REQUEST = "late_request"
    """Carried out and answered after `delay_ms`: a PLC that hung and works off what it had buffered."""
    WRONG_ADDRESS = "wrong_address"
    """Carried out; the reply names another address or another count."""
    WRONG_FUNCTION = "wrong_function"
    """Not carried out; a sound reply to another function comes."""
    EXCEPTION = "exception"
    """Not carried out; exception reply `device busy`."""
    GARBAGE = "garbage"
    """Not carried out; random bytes come."""
    TRICKLE = "trickle"
    """Carried out; the reply comes byte by byte, `delay_ms` apart."""
    REPEATED_REPLY = "repeated_reply"
    """Carried out and answered, and after `delay_ms` answered once more, as a bad converter or gateway does."""
    DISCONNECT = "disconnect"
    """Not carried out; the connection is closed (TCP)."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault and its delay."""

    fault: Fault | None
    delay_ms: int = 0


class FaultPlan:
    """A queue of faults: each exchange takes one; an empty queue means health. One writer, one reader."""

    def __init__(self) -> None:
        self._queue: deque[PlannedFault] = deque()

    def inject(self, fault: Fault, *, times: int = 1, delay_ms: int = 0) -> None:
        """The next `times` exchanges suffer `fault`."""
        self._queue.extend([PlannedFault(fault, delay_ms)] * times)

    def clear(self) -> None:
        """Healthy from now on."""
        self._queue.clear()

    def take(self) -> PlannedFault | None:
        """The fault of the exchange that begins now."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None
