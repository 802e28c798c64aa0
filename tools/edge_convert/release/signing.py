"""The next metadata of a repository, signed by as many keys as its root asks for. No file is touched."""

from __future__ import annotations

import datetime as dt
import hashlib
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from edge_convert.release.repository import render
from edge_runtime.bundles.trust import SIGNED_AT
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Signed

    from edge_convert.release.keyring import KeyRing
    from edge_convert.release.repository import Standing

_LAST: Final = "timestamp.json"

ROLES: Final = (Root.type, Targets.type, Snapshot.type, Timestamp.type)


@dataclass(frozen=True, slots=True)
class Validity:
    """How long signatures admit a release to a device. What is installed is never affected."""

    root_days: int = 3650
    rest_days: int = 730
    """Targets, snapshot and timestamp."""


def first_metadata(root: Root, ring: KeyRing, now_s: int, validity: Validity) -> dict[str, bytes]:
    """Metadata of a repository without a release, by file name, timestamp.json last.

    Raises:
        ConfigError: too few keys.
    """
    rest = _rest(root, ring, now_s, validity, targets=Targets(version=1), snapshot=1, timestamp=1)
    return _in_order(rest, {"1.root.json": _signed(root, ring.signers(root, Root.type))})


def next_metadata(
    now: Standing,
    ring: KeyRing,
    now_s: int,
    validity: Validity,
    *,
    targets: Targets | None = None,
    root: Root | None = None,
) -> dict[str, bytes]:
    """Metadata that follows upon what is in force, by file name, timestamp.json last.

    Args:
        now: what is in force.
        ring: the keys.
        now_s: the station's clock, seconds since 1970.
        validity: for what is signed now.
        targets: the new list of releases, its version set; None: the present one, under the next version.
        root: the new root, its version and expiry set; None: it stays.

    Raises:
        ConfigError: too few keys, or the clock stands before the last signature.
    """
    if now_s < now.signed_s:
        raise ConfigError(
            f"this computer's clock says {_date(now_s)}, but the last signature was made on {_date(now.signed_s)}",
            "Set the clock; devices would refuse what was signed now.",
        )
    roots = {}
    if root is not None:
        signers = [*ring.signers(now.root, Root.type), *ring.signers(root, Root.type)]
        roots[f"{root.version}.root.json"] = _signed(root, signers)
    if targets is None:
        targets = deepcopy(now.targets)
        targets.version += 1
    snapshot, timestamp = now.snapshot.version + 1, now.timestamp.version + 1
    rest = _rest(root or now.root, ring, now_s, validity, targets=targets, snapshot=snapshot, timestamp=timestamp)
    return _in_order(rest, roots)


def _in_order(rest: dict[str, bytes], roots: dict[str, bytes]) -> dict[str, bytes]:
    """A new root changes whom devices believe: it comes next to last, and timestamp.json at once behind it."""
    return {name: content for name, content in (rest | roots).items() if name != _LAST} | {_LAST: rest[_LAST]}


def expiry(now_s: int, days: int) -> dt.datetime:
    """The end of a validity that begins now."""
    return dt.datetime.fromtimestamp(now_s, dt.UTC) + dt.timedelta(days=days)


def _rest(
    root: Root, ring: KeyRing, now_s: int, validity: Validity, *, targets: Targets, snapshot: int, timestamp: int
) -> dict[str, bytes]:
    expires = expiry(now_s, validity.rest_days)
    targets.expires = expires
    listed = _signed(targets, ring.signers(root, Targets.type))
    content = Snapshot(snapshot, expires=expires, meta={"targets.json": _meta(targets.version, listed)})
    frozen = _signed(content, ring.signers(root, Snapshot.type))
    stamp = Timestamp(timestamp, expires=expires, snapshot_meta=_meta(snapshot, frozen))
    stamp.unrecognized_fields[SIGNED_AT] = now_s
    return {
        f"{targets.version}.targets.json": listed,
        f"{snapshot}.snapshot.json": frozen,
        "timestamp.json": _signed(stamp, ring.signers(root, Timestamp.type)),
    }


def _meta(version: int, content: bytes) -> MetaFile:
    return MetaFile(version, len(content), {"sha256": hashlib.sha256(content).hexdigest()})


def _signed(content: Signed, signers: Sequence[CryptoSigner]) -> bytes:
    metadata: Metadata[Any] = Metadata(content)
    for signer in {signer.public_key.keyid: signer for signer in signers}.values():
        metadata.sign(signer, append=True)
    return render(metadata)


def _date(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M} UTC"
