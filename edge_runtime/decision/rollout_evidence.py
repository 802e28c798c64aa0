"""What a rollout has seen: counts and histograms of fixed size, however many parts there were. Can be written down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edge_runtime.domain.verdict import Disposition, Limits

_SCORE_LOW: Final = -2.0
_SCORE_STEP: Final = 1 / 32
_SCORE_BINS: Final = 258
"""From −2 to 6 in steps of 1/32, and one bin for what lies below or above."""
_PER_OCTAVE: Final = 16
_TIME_BINS: Final = 400
"""From 1 µs on, 16 bins per doubling (4 % each): to 33 s."""
_MICROSECOND_NS: Final = 1_000


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """Makes the scores of different bundles comparable: 0 is a typical good part, 1 is the limit of PASS."""

    typical: float
    """Median score of the good parts behind the bundle's limits."""
    limit: float

    @classmethod
    def of(cls, good_scores: tuple[float, ...], limits: Limits) -> ScoreScale:
        """The scale of a bundle under the limits that are in force for it."""
        typical = float(np.median(good_scores)) if good_scores else 0.0
        return cls(typical, limits.review)

    def __call__(self, score: float) -> float:
        """A score on this scale. Where limit and typical score do not differ, only its side of them counts."""
        width = self.limit - self.typical
        if not math.isfinite(width) or width <= 0:
            return float(np.sign(score - self.typical))
        return (score - self.typical) / width


@dataclass(frozen=True, slots=True)
class Look:
    """What one model said about one part."""

    disposition: Disposition
    ejected: bool
    """What the gate does, or would do, with it."""
    score: float
    """On the model's own `ScoreScale`."""
    duration_ns: int
    """Shadow: of the inspection. Canary: from the trigger to the decision."""


class Side:
    """One of the two models."""

    def __init__(self) -> None:
        self.parts = 0
        self.rejected = 0
        self.faults = 0
        self.late = 0
        self.scores = np.zeros(_SCORE_BINS, dtype=np.int64)
        self.times = np.zeros(_TIME_BINS, dtype=np.int64)

    def add(self, look: Look) -> None:
        """Count one part that it has judged."""
        self.parts += 1
        self.rejected += look.ejected
        place = math.floor((min(max(look.score, -1e6), 1e6) - _SCORE_LOW) / _SCORE_STEP) + 1
        self.scores[min(max(place, 0), _SCORE_BINS - 1)] += 1
        octaves = math.log2(max(look.duration_ns, _MICROSECOND_NS) / _MICROSECOND_NS)
        self.times[min(int(octaves * _PER_OCTAVE), _TIME_BINS - 1)] += 1

    def time_ms(self, share: float) -> float | None:
        """So much of the parts took no longer (to 4 %, rounded up); None before the first."""
        total = int(self.times.sum())
        if total == 0:
            return None
        place = int(np.searchsorted(np.cumsum(self.times), math.ceil(share * total)))
        return float(2 ** ((place + 1) / _PER_OCTAVE) * _MICROSECOND_NS / 1e6)

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "parts": self.parts,
            "rejected": self.rejected,
            "faults": self.faults,
            "late": self.late,
            "scores": _sparse(self.scores),
            "times": _sparse(self.times),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Side:
        """What `as_document` wrote.

        Raises:
            ValueError: it did not.
        """
        side = cls()
        side.parts, side.rejected = _count(document, "parts"), _count(document, "rejected")
        side.faults, side.late = _count(document, "faults"), _count(document, "late")
        _fill(side.scores, document.get("scores"))
        _fill(side.times, document.get("times"))
        if not int(side.scores.sum()) == int(side.times.sum()) == side.parts or side.rejected > side.parts:
            message = "the counts contradict each other"
            raise ValueError(message)
        return side


class Evidence:
    """Both models over the parts of one stage."""

    def __init__(self) -> None:
        self.active, self.candidate = Side(), Side()
        self.agreed = 0
        """Pairs with the same disposition."""
        self.only_active = 0
        """Pairs that only the active model would have the gate eject."""
        self.only_candidate = 0
        self.pairs = 0
        self.skipped = 0
        self.cpu_ns = 0

    def add_pair(self, active: Look, candidate: Look) -> None:
        """Both have judged the same part."""
        self.active.add(active)
        self.candidate.add(candidate)
        self.pairs += 1
        self.agreed += active.disposition is candidate.disposition
        self.only_active += active.ejected and not candidate.ejected
        self.only_candidate += candidate.ejected and not active.ejected

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {"active": self.active.as_document(), "candidate": self.candidate.as_document(), **counts}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Evidence:
        """What `as_document` wrote.

        Raises:
            ValueError: it did not.
        """
        evidence = cls()
        for name in _COUNTS:
            setattr(evidence, name, _count(document, name))
        sides = document.get("active"), document.get("candidate")
        if not all(isinstance(side, dict) for side in sides):
            message = "a side is missing"
            raise ValueError(message)
        evidence.active, evidence.candidate = (Side.from_document(side) for side in sides if side is not None)
        if max(evidence.agreed, evidence.only_active + evidence.only_candidate) > evidence.pairs:
            message = "the pairs contradict each other"
            raise ValueError(message)
        return evidence


_COUNTS: Final = ("agreed", "only_active", "only_candidate", "pairs", "skipped", "cpu_ns")


def _sparse(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    return {str(place): int(counts[place]) for place in np.flatnonzero(counts)}


def _fill(counts: npt.NDArray[np.int64], document: object) -> None:
    bins = document if isinstance(document, dict) else {"": 0}
    for place in bins:
        if not place.isdecimal() or int(place) >= counts.size:
            message = f"there is no bin {place}"
            raise ValueError(message)
        counts[int(place)] = _count(bins, place)


def _count(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if type(value) is not int or not 0 <= value < 2**53:
        message = f"{name} is {value!r}, not a count"
        raise ValueError(message)
    return value
