"""`[recipe.combine]`: several models for one part."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edge_runtime.config.base import Settings
from edge_runtime.config.limits import LimitSettings
from edge_runtime.domain.update import PRODUCT_FORM, PRODUCT_PATTERN


class MemberSettings(Settings):
    """A further model beside the line's own: `[[recipe.combine.members]]`, once for each."""

    bundle: Path | None = None
    """Its bundle, on a line with `bundle.path`; set this or `product`. It is proved on its golden images like the
    line's own."""
    product: str | None = Field(default=None, pattern=PRODUCT_PATTERN, json_schema_extra={"form": PRODUCT_FORM})
    """On a line with `bundle.product`: the signed release of this product that is active on the device when the line
    starts; set this or `bundle`."""
    limits: LimitSettings | None = None
    """Unset: the bundle's own, as always with `product`."""
    weight: float = Field(default=1.0, gt=0, le=1_000)
    """With `rule = "weighted"`: what its score counts for, compared with the others."""
    doubt_from_percent: float = Field(default=100.0, ge=0, le=100)
    """As `recipe.combine.doubt_from_percent`, for this model; of no effect for the last one."""
    doubt_to_percent: float = Field(default=100.0, ge=100, le=10_000)
    """As `recipe.combine.doubt_to_percent`, for this model."""

    @model_validator(mode="after")
    def _one_source(self) -> MemberSettings:
        if (self.bundle is None) == (self.product is None):
            message = "set either bundle or product"
            raise ValueError(message)
        return self


class CommonLimitSettings(Settings):
    """For the weighted mean, on the scale on which a model's own review limit is 0.5 and its own reject limit 1."""

    review: float = Field(default=0.5, gt=0, le=100)
    """A mean at or below this is PASS."""
    reject: float = Field(default=1.0, gt=0, le=100)
    """A mean above this is REJECT, between the two REVIEW; not less than `review`."""

    @model_validator(mode="after")
    def _ordered(self) -> CommonLimitSettings:
        if not self.review <= self.reject:
            message = f"review ({self.review}) must not exceed reject ({self.reject})"
            raise ValueError(message)
        return self


class CombineSettings(Settings):
    """`[recipe.combine]`: several models for one part, the line's own first."""

    rule: Literal["cascade", "majority", "any", "all", "weighted"]
    """`cascade`: the next model looks only where the one before it is in doubt, and the last that looked decides. Else
    all look: `majority` takes what more than half of them say and in a tie the stricter side, `any` the strictest word,
    `all` the mildest, `weighted` the mean of their scores on a common scale."""
    members: tuple[MemberSettings, ...] = Field(min_length=1, max_length=7)
    """The further models, in the order in which they look."""
    doubt_from_percent: float = Field(default=100.0, ge=0, le=100)
    """With `rule = "cascade"`: the line's own model is in doubt above this share of its review limit. 100: where it
    says REVIEW; 80: already from four fifths of the limit on."""
    doubt_to_percent: float = Field(default=100.0, ge=100, le=10_000)
    """With `rule = "cascade"`: the line's own model is in doubt up to this share of its reject limit. 100: up to where
    it says REJECT; 150: also where it rejects by up to half the limit."""
    weight: float = Field(default=1.0, gt=0, le=1_000)
    """With `rule = "weighted"`: what the score of the line's own model counts for, compared with the others."""
    limits: CommonLimitSettings = CommonLimitSettings()
    """With `rule = "weighted"`: where PASS ends and REJECT begins."""
