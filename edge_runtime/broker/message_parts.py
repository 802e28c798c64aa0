"""What several messages are made of: a model, its limits, and what each of several models said."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_runtime.domain.combination import Rule
from edge_runtime.domain.verdict import Disposition, Reason

# allow_inf_nan is off so that a NaN is an error here and never a word that JSON does not know.
WIRE: Final = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Part(BaseModel):
    """What all parts of messages have in common."""

    model_config = WIRE


class LimitsField(Part):
    """The limits behind the disposition."""

    review: float | None
    """PASS at or below; null: no finite limit."""
    reject: float | None
    """REJECT above; null: no finite limit."""


class BundleField(Part):
    """Which model spoke."""

    name: str
    version: str
    digest: str
    """SHA-256 of the bundle file, hexadecimal."""
    trust: Literal["development", "production"]
    """`development`: unsigned, not for production."""


class LookField(Part):
    """What one of several models said about the part."""

    bundle: BundleField
    limits: LimitsField
    """Its own."""
    score: float | None
    """Null where it could not judge the part."""
    disposition: Disposition | None
    """What its own limits make of its score; null where it could not judge the part."""
    reason: Reason
    took_ms: float = Field(ge=0)
    detail: str = ""
    """For faults: what happened."""


class CombinedField(Part):
    """Which models looked at the part, and how they came to the verdict; `docs/combining.md` explains it."""

    rule: Rule
    looks: list[LookField]
    """In the order in which they looked; a model that was not asked is not among them."""


class MemberField(Part):
    """One of the models that are combined."""

    bundle: BundleField
    limits: LimitsField
    engine: str
    looked: int = Field(ge=0)
    """Parts at which it looked since the start."""
    decided: int = Field(ge=0)
    """Parts whose verdict names it."""


class CombinationField(Part):
    """How several models are combined, the line's own first."""

    rule: Rule
    models: list[MemberField]
