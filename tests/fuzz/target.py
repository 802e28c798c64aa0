"""Something to be fed with damaged bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Target:
    """A parser."""

    name: str
    samples: tuple[bytes, ...]
    """Sound inputs: each of them must be accepted."""
    feed: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    """What it may raise, whatever it is fed."""
