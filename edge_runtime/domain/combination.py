"""Several models for one part: the rule that combines them, and what each of them said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import BundleIdentity, Disposition, Reason

COMMON_LIMITS = Limits(0.5, 1.0)
"""What a model's own two limits become on the common scale of `Rule.WEIGHTED`."""


class Rule(StrEnum):
    """How several models come to one verdict."""

    CASCADE = "cascade"
    """One after the other; the next looks only where the one before it is in doubt. The last that looked decides."""
    MAJORITY = "majority"
    """All look; what more than half of them say. A tie goes to the stricter side."""
    ANY = "any"
    """All look; the strictest decides: one REJECT rejects."""
    ALL = "all"
    """All look; the mildest decides: only where all say REJECT is the part rejected."""
    WEIGHTED = "weighted"
    """All look; the weighted mean of their scores on a common scale."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Where a model of a cascade is in doubt: its REVIEW band, widened."""

    from_share: float = 1.0
    """Above this share of its review limit, 0…1."""
    to_share: float = 1.0
    """Up to this share of its reject limit, from 1 on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule knows of a model besides its limits."""

    weight: float = 1.0
    """Positive and finite; for `Rule.WEIGHTED`."""
    doubt: Doubt = Doubt()
    """For `Rule.CASCADE`; of no effect for the last model."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A rule and its terms for each model, the line's own first."""

    rule: Rule
    terms: tuple[Terms, ...]
    limits: Limits = COMMON_LIMITS
    """On the common scale; for `Rule.WEIGHTED`."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one model said about one part."""

    bundle: BundleIdentity
    limits: Limits
    """Its own."""
    score: float | None
    """Finite; None where it could not judge the part."""
    disposition: Disposition | None
    """What its own limits make of the score; None where it could not judge the part."""
    reason: Reason
    took_ns: int = 0
    detail: str = ""
    """For faults: what happened, in words."""


@dataclass(frozen=True, slots=True)
class Combined:
    """What stands behind a verdict of several models."""

    rule: Rule
    looks: tuple[Look, ...]
    """In the order in which they looked; a model that was not asked is not among them."""
    unheard: int | None = None
    """Place of a model that ought to have looked and had no time left for it; 0 is the line's own."""
