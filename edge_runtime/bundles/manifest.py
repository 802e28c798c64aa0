"""`release.json`, the manifest of bundle format 0: its schema, and the way to and from the domain's `ModelBundle`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    GoldenImage,
    InputSpec,
    Layout,
    ModelBundle,
    PayloadRef,
    Requires,
    Resize,
)
from edge_runtime.domain.verdict import BundleIdentity, Disposition, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST_LIMIT_BYTES: Final = 1 << 20
"""A larger release.json is refused before it is read: it lists files and numbers, it is never that large."""

_MEMBER_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MEMBER_NAME_LIMIT: Final = 100
"""Length of the name field of a ustar header; format 0 does not use its prefix field."""

_GRAPH_ROLES: Final = {
    DetectorKind.PATCHCORE: frozenset({"features", "search"}),
    DetectorKind.EFFICIENTAD: frozenset({"model"}),
    DetectorKind.GENERIC: frozenset({"model"}),
}
_PATCHCORE_OUTPUTS: Final = frozenset({"patches", "distances"})
_MODEL_OUTPUTS: Final = frozenset({"anomaly_map", "score"})


def is_member_name(name: str) -> bool:
    """True for a relative path of plain ASCII segments, none of which begins with a dot or a hyphen."""
    return len(name) <= _MEMBER_NAME_LIMIT and _MEMBER_NAME.fullmatch(name) is not None


def _checked_member_name(name: str) -> str:
    if not is_member_name(name):
        message = "not a plain relative member name"
        raise ValueError(message)
    return name


_MemberName = Annotated[str, AfterValidator(_checked_member_name)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class InputPart(_Part):
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

    @model_validator(mode="after")
    def _region_lies_in_a_frame(self) -> InputPart:
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) <= 0):
            message = f"region must be x ≥ 0, y ≥ 0, width > 0, height > 0, got {self.region}"
            raise ValueError(message)
        return self


class CalibrationPart(_Part):
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


class GoldenPart(_Part):
    """One entry of `golden`: see `GoldenImage`."""

    payload: _MemberName
    expected_score: float
    tolerance: float = Field(ge=0)
    disposition: Annotated[Disposition, Field(strict=False)]


class RequiresPart(_Part):
    """`requires`: see `Requires`."""

    runtime: str = Field(default="0", pattern=r"^\d+(\.\d+)*$")
    engines: Annotated[tuple[str, ...], Field(strict=False)] = ()
    memory_mb: int = Field(default=0, ge=0)


class PayloadPart(_Part):
    """One entry of `payloads`, in the order in which they stand in the archive."""

    name: _MemberName
    size_bytes: int = Field(ge=0)
    sha256: _Digest


class Release(_Part):
    """The whole of `release.json`."""

    format: Literal[0]
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    version: str = Field(pattern=r"^[A-Za-z0-9_.+-]{1,64}$")
    created: str = Field(max_length=64)
    kind: Annotated[DetectorKind, Field(strict=False)]
    input: InputPart
    graphs: dict[str, _MemberName]
    outputs: dict[str, str]
    parameters: dict[str, float]
    calibration: CalibrationPart
    golden: Annotated[tuple[GoldenPart, ...], Field(strict=False)]
    requires: RequiresPart
    payloads: Annotated[tuple[PayloadPart, ...], Field(strict=False)]
    notes: dict[str, str]

    @model_validator(mode="after")
    def _payloads_are_all_there(self) -> Release:
        names = [payload.name for payload in self.payloads]
        if len(set(names)) != len(names):
            message = "payloads lists a name twice"
            raise ValueError(message)
        used = {*self.graphs.values(), *(golden.payload for golden in self.golden)}
        if absent := sorted(used - set(names)):
            message = f"graphs or golden name {absent[0]!r}, which payloads does not list"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _roles_fit_the_kind(self) -> Release:
        if absent := sorted(_GRAPH_ROLES[self.kind] - set(self.graphs)):
            message = f"kind {self.kind.value} needs a graph for the role {absent[0]!r}"
            raise ValueError(message)
        roles = set(self.outputs)
        if self.kind is DetectorKind.PATCHCORE:
            if absent := sorted(_PATCHCORE_OUTPUTS - roles):
                message = f"kind patchcore needs an output for the role {absent[0]!r}"
                raise ValueError(message)
        elif not roles & _MODEL_OUTPUTS:
            message = f"kind {self.kind.value} needs an output for anomaly_map or score"
            raise ValueError(message)
        return self


def parse_release(text: bytes, where: str) -> Release:
    """Read a manifest.

    Args:
        text: content of `release.json`, UTF-8.
        where: the bundle's path, for the message.

    Raises:
        BundleError: not JSON, not format 0, an unknown key, a missing or impossible value; names the first of them.
    """
    try:
        return Release.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "release.json"
        raise BundleError(
            f"{where}: release.json, {place}: {first['msg']}",
            "Make the bundle again with `edge-convert`; if it comes from a newer version, update this device first.",
        ) from error


def to_domain(release: Release, digest: str, trust: str) -> ModelBundle:
    """Convert a manifest whose payloads were checked; `digest` is the SHA-256 of the bundle file."""
    calibration = release.calibration
    return ModelBundle(
        identity=BundleIdentity(release.name, release.version, digest, trust),
        kind=release.kind,
        input_spec=InputSpec(**dict(release.input)),
        graphs=dict(release.graphs),
        outputs=dict(release.outputs),
        parameters=dict(release.parameters),
        calibration=Calibration(
            limits=Limits(review=calibration.review_limit, reject=calibration.reject_limit),
            good_scores=calibration.good_scores,
            false_reject_rate=calibration.false_reject_rate,
            map_range=calibration.map_range,
            warnings=calibration.warnings,
        ),
        golden=tuple(
            GoldenImage(part.payload, part.expected_score, part.tolerance, part.disposition.value)
            for part in release.golden
        ),
        requires=Requires(**dict(release.requires)),
        payloads={part.name: PayloadRef(part.name, part.size_bytes, part.sha256) for part in release.payloads},
        created=release.created,
        notes=dict(release.notes),
    )


def from_domain(manifest: ModelBundle) -> Release:
    """Convert back, for writing; identity digest and trust are the reader's to say and are left out.

    Raises:
        BundleError: the manifest could not be read back (a NaN limit, a role without graph, a bad name).
    """
    calibration = manifest.calibration
    content: Mapping[str, Any] = {
        "format": 0,
        "name": manifest.identity.name,
        "version": manifest.identity.version,
        "created": manifest.created,
        "kind": manifest.kind,
        "input": _fields(manifest.input_spec),
        "graphs": dict(manifest.graphs),
        "outputs": dict(manifest.outputs),
        "parameters": dict(manifest.parameters),
        "calibration": {
            "review_limit": calibration.limits.review,
            "reject_limit": calibration.limits.reject,
            "good_scores": calibration.good_scores,
            "false_reject_rate": calibration.false_reject_rate,
            "map_range": calibration.map_range,
            "warnings": calibration.warnings,
        },
        "golden": [_fields(golden) for golden in manifest.golden],
        "requires": _fields(manifest.requires),
        "payloads": [_fields(payload) for payload in manifest.payloads.values()],
        "notes": dict(manifest.notes),
    }
    try:
        return Release.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "manifest"
        raise BundleError(
            f"bundle {manifest.identity.name!r} cannot be written: {place}: {first['msg']}",
            "Change the named value; nothing was written.",
        ) from error


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}


def render_release(release: Release) -> bytes:
    """JSON text of a manifest: keys in schema order, indented for readers, one newline at the end."""
    return release.model_dump_json(indent=1).encode() + b"\n"
