"""The bytes of a format-1 file, in order, checked while they pass: what an installer writes into its own copy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.members import END, header, padding
from edge_runtime.bundles.release_layout import MANIFEST_NAME, PAYLOAD_FOLDER
from edge_runtime.domain.errors import Refusal, TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.bundles.trust import VerifiedRelease
    from edge_runtime.domain.model_bundle import PayloadRef

_ALTERED: Final = "Do not use it: copy it again from the release station, and do not change it while it is read."


def release_blocks(verified: VerifiedRelease, source: ReleaseSource) -> Iterator[bytes]:
    """Hand out the device's own copy of a bundle file: exactly `verified.expected_length_bytes`, unless it raises.

    The last byte of a payload is handed out only after its digest was found right, so a copy that is complete is whole.

    Raises:
        TrustError: (while iterating) a payload differs from what is signed.
        BundleError: (while iterating) the source cannot deliver.
    """
    for name, content in (*verified.metadata, (MANIFEST_NAME, verified.release_json)):
        yield header(name, len(content))
        yield content + padding(len(content))
    for reference in verified.payloads:
        yield header(PAYLOAD_FOLDER + reference.sha256, reference.size_bytes)
        yield from checked(source, reference)
        yield padding(reference.size_bytes)
    yield END


def checked(source: ReleaseSource, reference: PayloadRef) -> Iterator[bytes]:
    """A payload in pieces, of which the last is held back until the digest of all is right.

    Raises:
        TrustError: it is longer, shorter or another one than what is signed.
        BundleError: the source cannot deliver.
    """
    digest = hashlib.sha256()
    left = reference.size_bytes
    held = b""
    for piece in source.payload(reference.sha256, reference.size_bytes):
        left -= len(piece)
        if left < 0:
            break
        digest.update(piece)
        yield held
        held = piece
    if left != 0 or digest.hexdigest() != reference.sha256:
        raise TrustError(
            Refusal.MIXED, f"{source.where}: the payload {reference.name!r} differs from what is signed", _ALTERED
        )
    yield held
