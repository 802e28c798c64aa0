"""The parts of `release.json`: one schema per key, and for each the value of the domain that it becomes."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    Fit,
    GoldenImage,
    InputSpec,
    Layout,
    ParityFigures,
    ParityLimits,
    Reference,
    ReferenceImage,
    Requires,
    Resize,
    Tiles,
)
from edge_runtime.domain.update import PRODUCT_PATTERN, ReleaseTerms
from edge_runtime.domain.verdict import Disposition, Limits

_MEMBER_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MEMBER_NAME_LIMIT: Final = 100
"""Length of the name field of a ustar header; format 0 does not use its prefix field."""


def is_member_name(name: str) -> bool:
    """True for a relative path of plain ASCII segments, none of which begins with a dot or a hyphen."""
    return len(name) <= _MEMBER_NAME_LIMIT and _MEMBER_NAME.fullmatch(name) is not None


def _checked_member_name(name: str) -> str:
    if not is_member_name(name):
        message = "not a plain relative member name"
        raise ValueError(message)
    return name


SIZE_LIMIT: Final = 8**11 - 1
"""The largest size that a ustar header can state."""

COUNTER_LIMIT: Final = (1 << 53) - 1
"""The largest whole number that every JSON reader keeps exactly."""

MemberName = Annotated[str, AfterValidator(_checked_member_name)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """What all parts have in common: frozen, strict, no unknown key, no NaN."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        from_attributes=True,
    )


class TilesPart(Part):
    """`input.tiles`: see `Tiles`."""

    rows: int = Field(ge=1, le=32)
    columns: int = Field(ge=1, le=32)
    overlap: float = Field(default=0.0, ge=0, le=0.5)


class InputPart(Part):
    """`input`: see `InputSpec`."""

    tensor: str
    height_px: int = Field(gt=0, le=16_384)
    width_px: int = Field(gt=0, le=16_384)
    resize: Annotated[Resize, Field(strict=False)]
    colour: Annotated[ColourOrder, Field(strict=False)]
    layout: Annotated[Layout, Field(strict=False)]
    dtype: Literal["uint8", "float32"]
    scale: float = 1.0
    mean: Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=3)]
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False, min_length=1, max_length=3)]
    region: Annotated[tuple[int, int, int, int], Field(strict=False)] | None = None
    fit: Annotated[Fit, Field(strict=False)] = Fit.STRETCH
    resized_px: Annotated[tuple[int, int], Field(strict=False)] | None = None
    keep_fractions: bool = False
    tiles: TilesPart | None = None
    mask: MemberName | None = None

    @model_validator(mode="after")
    def _region_lies_in_a_frame(self) -> InputPart:
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) <= 0):
            message = f"region must be x ≥ 0, y ≥ 0, width > 0, height > 0, got {self.region}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _fractions_need_floats(self) -> InputPart:
        if self.keep_fractions and self.dtype != "float32":
            message = f"keep_fractions needs dtype float32, got {self.dtype}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _crop_lies_in_the_resized_frame(self) -> InputPart:
        if self.resized_px is not None and not (
            self.height_px <= self.resized_px[0] <= 16_384 and self.width_px <= self.resized_px[1] <= 16_384  # noqa: PLR2004
        ):
            message = f"resized_px must be at least {self.height_px} × {self.width_px}, got {self.resized_px}"
            raise ValueError(message)
        return self

    def to_domain(self) -> InputSpec:
        """As the domain has it."""
        values = dict(self)
        values["tiles"] = None if self.tiles is None else Tiles(**dict(self.tiles))
        return InputSpec(**values)


class CalibrationPart(Part):
    """`calibration`: see `Calibration`."""

    review_limit: float
    reject_limit: float
    good_scores: Annotated[tuple[float, ...], Field(strict=False)]
    false_reject_rate: float = Field(ge=0, le=1)
    map_range: Annotated[tuple[float, float], Field(strict=False)]
    warnings: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _ordered(self) -> CalibrationPart:
        if self.review_limit > self.reject_limit:
            message = f"review_limit ({self.review_limit}) must not exceed reject_limit ({self.reject_limit})"
            raise ValueError(message)
        if self.map_range[0] > self.map_range[1]:
            message = f"map_range must ascend, got {self.map_range}"
            raise ValueError(message)
        return self

    def to_domain(self) -> Calibration:
        """As the domain has it."""
        return Calibration(
            limits=Limits(review=self.review_limit, reject=self.reject_limit),
            good_scores=self.good_scores,
            false_reject_rate=self.false_reject_rate,
            map_range=self.map_range,
            warnings=self.warnings,
        )


class GoldenPart(Part):
    """One entry of `golden`: see `GoldenImage`."""

    payload: MemberName
    expected_score: float
    tolerance: float = Field(ge=0)
    disposition: Annotated[Disposition, Field(strict=False)]

    def to_domain(self) -> GoldenImage:
        """As the domain has it."""
        return GoldenImage(self.payload, self.expected_score, self.tolerance, self.disposition.value)


class ParityLimitsPart(Part):
    """`reference.limits`: see `ParityLimits`."""

    good_drift: float = Field(ge=0)
    separation_loss: float = Field(ge=0)
    flips: int = Field(ge=0)
    map_correlation: float = Field(ge=-1, le=1)
    image_auroc_loss: float = Field(ge=0)
    pixel_auroc_loss: float = Field(ge=0)


class ReferenceImagePart(Part):
    """One entry of `reference.images`: see `ReferenceImage`."""

    sha256: Digest
    score: float
    defective: bool
    payload: MemberName | None = None
    anomaly_map: MemberName | None = None


class ParityFiguresPart(Part):
    """One entry of `reference.measured`: see `ParityFigures`."""

    engine: str
    images: int = Field(ge=0)
    good_drift: float | None
    separation_loss: float | None
    flips: int = Field(ge=0)
    flips_near_limit: int = Field(ge=0)
    map_correlation: float | None
    image_auroc_loss: float | None = None
    pixel_auroc_loss: float | None = None


class ReferencePart(Part):
    """`reference`: see `Reference`."""

    source: str
    good_median: float
    good_spread: float = Field(gt=0)
    limits: ParityLimitsPart
    allowed: Annotated[tuple[str, ...], Field(strict=False)] = ()
    images: Annotated[tuple[ReferenceImagePart, ...], Field(strict=False)]
    measured: Annotated[tuple[ParityFiguresPart, ...], Field(strict=False)]

    def to_domain(self) -> Reference:
        """As the domain has it."""
        return Reference(
            source=self.source,
            good_median=self.good_median,
            good_spread=self.good_spread,
            limits=ParityLimits(**dict(self.limits)),
            allowed=self.allowed,
            images=tuple(ReferenceImage(**dict(image)) for image in self.images),
            measured=tuple(ParityFigures(**dict(figures)) for figures in self.measured),
        )

    def payload_names(self) -> set[str]:
        """Payloads that it refers to."""
        named = {name for image in self.images for name in (image.payload, image.anomaly_map)}
        return {name for name in named if name is not None}


class RequiresPart(Part):
    """`requires`: see `Requires`."""

    runtime: str = Field(default="0", pattern=r"^\d+(\.\d+)*$")
    engines: Annotated[tuple[str, ...], Field(strict=False)] = ()
    memory_mb: int = Field(default=0, ge=0)

    def to_domain(self) -> Requires:
        """As the domain has it."""
        return Requires(**dict(self))


class TermsPart(Part):
    """`terms`, only in format 1: see `ReleaseTerms`."""

    product: str = Field(pattern=PRODUCT_PATTERN)
    counter: int = Field(ge=1, le=COUNTER_LIMIT)
    min_counter: int = Field(ge=0, le=COUNTER_LIMIT)
    hardware: Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")], ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _does_not_forbid_itself(self) -> TermsPart:
        if self.min_counter > self.counter:
            message = f"min_counter ({self.min_counter}) must not exceed counter ({self.counter})"
            raise ValueError(message)
        return self

    def to_domain(self) -> ReleaseTerms:
        """As the domain has it."""
        return ReleaseTerms(**dict(self))


class PayloadPart(Part):
    """One entry of `payloads`, in the order in which they stand in the archive."""

    name: MemberName
    size_bytes: int = Field(ge=0, le=SIZE_LIMIT)
    sha256: Digest
