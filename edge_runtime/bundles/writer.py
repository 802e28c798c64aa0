"""Writing bundle format 0: the same content always gives the same bytes, and a power cut never leaves half a bundle."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.archive import CHECKSUM_NAME, checksum_text
from edge_runtime.bundles.manifest import MANIFEST_LIMIT_BYTES, from_domain, render_release
from edge_runtime.bundles.members import END, MEMBERS_LIMIT, header, padding
from edge_runtime.bundles.release_layout import MANIFEST_NAME
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import ModelBundle, PayloadRef, Requires
from edge_runtime.domain.verdict import BundleIdentity
from edge_runtime.ops.durable import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_runtime.domain.model_bundle import Calibration, DetectorKind, GoldenImage, InputSpec, Reference

UNWRITTEN: Final = "0" * 64
"""Digest of a bundle that exists only in memory."""


@dataclass(frozen=True, slots=True)
class BundleDraft:
    """All of a manifest that the writer of a bundle decides. The fields are those of `ModelBundle`."""

    name: str
    version: str
    created: str
    kind: DetectorKind
    input_spec: InputSpec
    graphs: Mapping[str, str]
    outputs: Mapping[str, str]
    parameters: Mapping[str, float]
    calibration: Calibration
    golden: tuple[GoldenImage, ...] = ()
    requires: Requires = field(default_factory=Requires)
    notes: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    reference: Reference | None = None
    revision: int = 0


class MemoryPayloads:
    """Payloads that are not written yet. A `PayloadReader`."""

    def __init__(self, payloads: Mapping[str, bytes]) -> None:
        self._payloads = payloads

    def read(self, name: str) -> bytes:
        """The payload.

        Raises:
            BundleError: unknown name.
        """
        content = self._payloads.get(name)
        if content is None:
            raise BundleError(
                f"no payload {name!r} in this draft", f"It has: {', '.join(sorted(self._payloads)) or 'none'}."
            )
        return content


def manifest_of(draft: BundleDraft, payloads: Mapping[str, bytes]) -> ModelBundle:
    """The manifest that the draft would have, for running it before it is written (digest: `UNWRITTEN`)."""
    return ModelBundle(
        identity=BundleIdentity(draft.name, draft.version, UNWRITTEN, "development"),
        kind=draft.kind,
        input_spec=draft.input_spec,
        graphs=draft.graphs,
        outputs=draft.outputs,
        parameters=draft.parameters,
        calibration=draft.calibration,
        golden=draft.golden,
        requires=draft.requires,
        payloads={
            name: PayloadRef(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in payloads.items()
        },
        created=draft.created,
        notes=draft.notes,
        options=draft.options,
        reference=draft.reference,
        revision=draft.revision,
    )


def draft_of_manifest(manifest: ModelBundle) -> BundleDraft:
    """The draft that a bundle was written from, to write a changed one."""
    return BundleDraft(
        name=manifest.identity.name,
        version=manifest.identity.version,
        created=manifest.created,
        kind=manifest.kind,
        input_spec=manifest.input_spec,
        graphs=manifest.graphs,
        outputs=manifest.outputs,
        parameters=manifest.parameters,
        calibration=manifest.calibration,
        golden=manifest.golden,
        requires=manifest.requires,
        notes=manifest.notes,
        options=manifest.options,
        reference=manifest.reference,
        revision=manifest.revision,
    )


def write_bundle(path: Path, draft: BundleDraft, payloads: Mapping[str, bytes]) -> str:
    """Write a bundle atomically: afterwards `path` is the new bundle, or on any failure what it was before.

    Args:
        path: target file; its folder must exist.
        draft: the manifest.
        payloads: name → content, in the order in which they are to stand in the archive.

    Returns:
        The bundle digest, SHA-256 of the file, hexadecimal.

    Raises:
        BundleError: the draft is not a valid manifest, or the file cannot be written.
    """
    manifest = render_release(from_domain(manifest_of(draft, payloads)))
    if len(manifest) > MANIFEST_LIMIT_BYTES or len(payloads) + 2 > MEMBERS_LIMIT:
        raise BundleError(
            f"bundle {draft.name!r}: {len(manifest)} bytes of manifest or {len(payloads)} payloads are over the limit",
            "Put fewer golden images or scores into it.",
        )
    members = {MANIFEST_NAME: manifest, CHECKSUM_NAME: checksum_text(manifest), **payloads}
    try:
        return _replace(path, _blocks(members))
    except OSError as error:
        raise BundleError(
            f"the bundle {path} cannot be written: {error.strerror}",
            "Check the folder, its permissions and free space.",
        ) from error


def _blocks(members: Mapping[str, bytes]) -> Iterator[bytes]:
    for name, content in members.items():
        yield header(name, len(content))
        yield content
        yield padding(len(content))
    yield END


def _replace(path: Path, blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
            os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 would hide the bundle from the daemon's user
            file.flush()
            os.fsync(file.fileno())
        replace_file(Path(temporary), path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return digest.hexdigest()
