"""What a detector found in a frame, or why it could not look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.verdict import BundleIdentity, Reason

AnomalyMap: TypeAlias = npt.NDArray[np.float32]
"""H×W float32, higher is more anomalous, in the units of the score, read-only. Its size is the detector's own."""


class DeferredMap:
    """An anomaly map that nobody has drawn yet: a verdict needs the score, and most parts never show their map.

    Drawn once, by whoever asks first, on any thread; two that ask at the same moment get equal maps.
    """

    __slots__ = ("_draw", "_drawn")

    def __init__(self, draw: Callable[[], AnomalyMap]) -> None:
        self._draw: Callable[[], AnomalyMap] | None = draw
        self._drawn: AnomalyMap | None = None

    def drawn(self) -> AnomalyMap:
        """The map.

        Raises:
            EngineError: the engine failed while it was drawn.
        """
        draw = self._draw
        if draw is not None:
            self._drawn = draw()
            self._draw = None  # what it was drawn from may go
        if self._drawn is None:
            raise AssertionError  # `_draw` goes only after the map has come
        return self._drawn


MapSource: TypeAlias = "npt.NDArray[np.float32] | DeferredMap"
"""A map, or what draws it when it is asked for."""


@overload
def drawn(source: MapSource) -> AnomalyMap: ...


@overload
def drawn(source: None) -> None: ...


@overload
def drawn(source: MapSource | None) -> AnomalyMap | None: ...


def drawn(source: MapSource | None) -> AnomalyMap | None:
    """The map itself, drawn now if need be. Takes milliseconds: not on the way to a verdict.

    Raises:
        EngineError: the engine failed while it was drawn.
    """
    return source.drawn() if isinstance(source, DeferredMap) else source


@dataclass(frozen=True, slots=True)
class Inspection:
    """A finished look at a part."""

    part_id: str
    score: float
    """Higher is more anomalous; comparable only within one bundle. May be NaN: `judge` refuses it."""
    anomaly_map: MapSource | None
    bundle: BundleIdentity
    started_ns: int
    finished_ns: int


@dataclass(frozen=True, slots=True)
class InspectionFault:
    """A look that failed. A value, not an exception: it travels the same way and becomes a Verdict."""

    part_id: str
    reason: Reason
    detail: str
    bundle: BundleIdentity
    started_ns: int
    finished_ns: int
