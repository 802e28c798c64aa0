"""`release.json`, the manifest of a bundle: its schema, and the way to and from the domain's `ModelBundle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from edge_runtime.bundles.manifest_parts import (
    CalibrationPart,
    GoldenPart,
    InputPart,
    MemberName,
    Part,
    PayloadPart,
    ReferencePart,
    RequiresPart,
    TermsPart,
)
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import NAME_PATTERN, VERSION_PATTERN, DetectorKind, ModelBundle, PayloadRef
from edge_runtime.domain.verdict import BundleIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST_LIMIT_BYTES: Final = 1 << 20
"""A larger release.json is refused before it is read: it lists files and numbers, it is never that large."""

_GRAPH_ROLES: Final = {
    DetectorKind.PATCHCORE: frozenset({"features", "search"}),
    DetectorKind.EFFICIENTAD: frozenset({"model"}),
    DetectorKind.GENERIC: frozenset({"model"}),
    DetectorKind.RECONSTRUCTION: frozenset({"model"}),
}
_EXACT_SEARCH: Final = frozenset({"features", "bank", "origin", "coarse", "whole"})
"""Roles of a PatchCore bundle whose memory bank is no constant of a graph."""
_OUTPUTS_NEEDED: Final = {
    DetectorKind.PATCHCORE: frozenset({"patches", "distances"}),
    DetectorKind.RECONSTRUCTION: frozenset({"reconstruction"}),
}
_MODEL_OUTPUTS: Final = frozenset({"anomaly_map", "score"})


class Release(Part):
    """The whole of `release.json`."""

    format: Literal[0, 1]
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    revision: int = Field(default=0, ge=0)
    created: str = Field(max_length=64)
    kind: Annotated[DetectorKind, Field(strict=False)]
    input: InputPart
    graphs: dict[str, MemberName]
    outputs: dict[str, str]
    parameters: dict[str, float]
    options: dict[str, str] = Field(default_factory=dict)
    calibration: CalibrationPart
    golden: Annotated[tuple[GoldenPart, ...], Field(strict=False)]
    reference: ReferencePart | None = None
    requires: RequiresPart
    payloads: Annotated[tuple[PayloadPart, ...], Field(strict=False)]
    notes: dict[str, str]
    terms: TermsPart | None = None

    @model_validator(mode="after")
    def _terms_fit_the_format(self) -> Release:
        signed = self.terms is not None
        if signed != (self.format == 1) or signed != ("terms" in self.model_fields_set):
            message = "format 1 has terms, format 0 has none"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _payloads_are_all_there(self) -> Release:
        names = [payload.name for payload in self.payloads]
        if len(set(names)) != len(names):
            message = "payloads lists a name twice"
            raise ValueError(message)
        if len({(one.sha256, one.size_bytes) for one in self.payloads}) != len({one.sha256 for one in self.payloads}):
            message = "payloads lists one digest with two sizes"
            raise ValueError(message)
        used = {*self.graphs.values(), *(golden.payload for golden in self.golden)}
        if self.reference is not None:
            used |= self.reference.payload_names()
        if self.input.mask is not None:
            used.add(self.input.mask)
        if absent := sorted(used - set(names)):
            message = f"graphs, golden, reference or mask name {absent[0]!r}, which payloads does not list"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _roles_fit_the_kind(self) -> Release:
        exact = self.kind is DetectorKind.PATCHCORE and "bank" in self.graphs
        if absent := sorted((_EXACT_SEARCH if exact else _GRAPH_ROLES[self.kind]) - set(self.graphs)):
            message = f"kind {self.kind.value} needs a graph for the role {absent[0]!r}"
            raise ValueError(message)
        needed = frozenset({"patches"}) if exact else _OUTPUTS_NEEDED.get(self.kind)
        if needed is not None:
            if absent := sorted(needed - set(self.outputs)):
                message = f"kind {self.kind.value} needs an output for the role {absent[0]!r}"
                raise ValueError(message)
        elif not set(self.outputs) & _MODEL_OUTPUTS:
            message = f"kind {self.kind.value} needs an output for anomaly_map or score"
            raise ValueError(message)
        return self


def parse_release(text: bytes, where: str) -> Release:
    """Read a manifest.

    Args:
        text: content of `release.json`, UTF-8.
        where: the bundle's path, for the message.

    Raises:
        BundleError: not JSON, another format, an unknown key, a missing or impossible value; names the first.
    """
    try:
        return Release.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(
            f"{where}: release.json, {_first_fault(error)}",
            "Make the bundle again with `edge-convert`; if it comes from a newer version, update this device first.",
        ) from error


def to_domain(release: Release, digest: str, trust: str) -> ModelBundle:
    """Convert a manifest whose payloads were checked; `digest` is the bundle's."""
    return ModelBundle(
        identity=BundleIdentity(release.name, release.version, digest, trust),
        kind=release.kind,
        input_spec=release.input.to_domain(),
        graphs=dict(release.graphs),
        outputs=dict(release.outputs),
        parameters=dict(release.parameters),
        calibration=release.calibration.to_domain(),
        golden=tuple(part.to_domain() for part in release.golden),
        requires=release.requires.to_domain(),
        payloads={part.name: PayloadRef(part.name, part.size_bytes, part.sha256) for part in release.payloads},
        created=release.created,
        notes=dict(release.notes),
        options=dict(release.options),
        reference=None if release.reference is None else release.reference.to_domain(),
        revision=release.revision,
        release=None if release.terms is None else release.terms.to_domain(),
    )


def from_domain(manifest: ModelBundle) -> Release:
    """Convert back, for writing; identity digest and trust are the reader's to say and are left out.

    Raises:
        BundleError: the manifest could not be read back (a NaN limit, a role without graph, a bad name).
    """
    calibration = manifest.calibration
    content: Mapping[str, Any] = {
        "format": 0 if manifest.release is None else 1,
        "name": manifest.identity.name,
        "version": manifest.identity.version,
        "revision": manifest.revision,
        "created": manifest.created,
        "kind": manifest.kind,
        "input": manifest.input_spec,
        "graphs": dict(manifest.graphs),
        "outputs": dict(manifest.outputs),
        "parameters": dict(manifest.parameters),
        "options": dict(manifest.options),
        "calibration": {
            "review_limit": calibration.limits.review,
            "reject_limit": calibration.limits.reject,
            "good_scores": calibration.good_scores,
            "false_reject_rate": calibration.false_reject_rate,
            "map_range": calibration.map_range,
            "warnings": calibration.warnings,
        },
        "golden": manifest.golden,
        "reference": manifest.reference,
        "requires": manifest.requires,
        "payloads": tuple(manifest.payloads.values()),
        "notes": dict(manifest.notes),
        **({} if manifest.release is None else {"terms": manifest.release}),
    }
    try:
        return Release.model_validate(content)
    except ValidationError as error:
        raise BundleError(
            f"bundle {manifest.identity.name!r} cannot be written: {_first_fault(error)}",
            "Change the named value; nothing was written.",
        ) from error


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "as a whole"
    return f"{place}: {first['msg']}"


def render_release(release: Release) -> bytes:
    """JSON text of a manifest: keys in schema order, indented for readers, one newline at the end."""
    return release.model_dump_json(indent=1, exclude={"terms"} if release.terms is None else None).encode() + b"\n"
