"""What a device trusts, on disk: the metadata that it saw last, and a receipt by which damage is told from absence.

A folder holds `root.json`, after the first release also `timestamp.json`, `snapshot.json` and `targets.json`, and
`trust.json`, the receipt: their digests, the folder's generation, and the newest time that was signed. A file that is
missing, altered or not in the receipt means damage, and damaged trust accepts nothing: were it taken for an empty one,
a cut of the power would let an old release in.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, ValidationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root

from edge_runtime.bundles.manifest_parts import Digest, Part
from edge_runtime.domain.errors import ConfigError, LocalTrustError
from edge_runtime.ops.durable import sync_folder, write_synced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROOT_LIMIT_BYTES: Final = 512_000
"""A larger root.json is refused; the limit of `tuf`."""

_RECEIPT: Final = "trust.json"
_ROLES: Final = ("root.json", "timestamp.json", "snapshot.json", "targets.json")
_FILE_LIMIT_BYTES: Final = 5_000_000
_MEND: Final = (
    "This device accepts no release until that is mended; the running model is unaffected. Check the storage medium. "
    "Then restore `updates/` of the state folder from a backup; or set the device up anew: move `updates/` away, "
    "`edge-runtime bundle trust ROOT.json`, and install the newest stick."
)


@dataclass(frozen=True, slots=True)
class LocalTrust:
    """A sound trust folder."""

    generation: int
    """From 0, the provisioned root; grows by one with every verified release."""
    newest_s: int
    """Newest time that trusted metadata states, seconds since 1970; 0 where none was seen."""
    files: Mapping[str, bytes]
    """Name → content, `root.json` first."""

    @property
    def root_digest(self) -> str:
        """SHA-256 of `root.json`, hexadecimal: what the release station shows."""
        return hashlib.sha256(self.files["root.json"]).hexdigest()


class _Receipt(Part):
    format: Literal[1]
    generation: int = Field(ge=0)
    newest_s: int = Field(ge=0)
    files: Annotated[dict[str, Digest], Field(strict=False)]


def provision_trust(root: bytes, folder: Path) -> LocalTrust:
    """Make a device trust a release station, for the first time.

    Args:
        root: a root.json of the station, carried here by hand.
        folder: where to; must not exist, its parent must.

    Raises:
        ConfigError: `root` is not a root.json that is signed by its own keys, or the folder exists.
        LocalTrustError: the folder cannot be written.
    """
    if folder.exists():
        raise ConfigError(
            f"{folder} exists: this device already trusts a release station",
            "Nothing was changed. A new root comes with the station's releases, signed by the old one.",
        )
    _check_root(root)
    return write_trust(folder, LocalTrust(generation=0, newest_s=0, files={"root.json": root}))


def _check_root(root: bytes) -> None:
    action = "Take the root.json that `edge-convert keys init` wrote, or the newest one of the station."
    if len(root) > ROOT_LIMIT_BYTES:
        raise ConfigError(f"a root.json of {len(root)} bytes is not genuine", action)
    try:
        parsed = Metadata[Root].from_bytes(root)
        if not isinstance(parsed.signed, Root):
            raise ConfigError("this is signed metadata, but not a root.json", action)
        parsed.verify_delegate(Root.type, parsed)
    except RepositoryError as error:
        raise ConfigError(f"this is not a root.json signed by its own keys: {error}", action) from error


def read_trust(folder: Path) -> LocalTrust:
    """Read a trust folder and check it against its receipt.

    Raises:
        LocalTrustError: missing, incomplete, altered or unreadable.
    """
    try:
        receipt = _Receipt.model_validate_json(_read(folder / _RECEIPT))
        files: dict[str, bytes] = {name: _read(folder / name) for name in _ROLES if name in receipt.files}
        present = {entry.name for entry in folder.iterdir()} - {_RECEIPT}
    except OSError as error:
        raise LocalTrustError(
            f"the trust folder {folder} cannot be read: {error.strerror}: {error.filename}", _MEND
        ) from error
    except ValidationError as error:
        raise LocalTrustError(f"the receipt {folder / _RECEIPT} is damaged", _MEND) from error
    if tuple(files) not in {_ROLES, _ROLES[:1]} or set(receipt.files) != set(files) or present != set(files):
        raise LocalTrustError(f"the trust folder {folder} holds other files than its receipt says", _MEND)
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != receipt.files[name]:
            raise LocalTrustError(f"{folder / name} is damaged: it differs from its receipt", _MEND)
    return LocalTrust(receipt.generation, receipt.newest_s, files)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FILE_LIMIT_BYTES + 1)


def write_trust(folder: Path, trust: LocalTrust) -> LocalTrust:
    """Write a new trust folder durably: every file, the folder and its parent are synced.

    Args:
        folder: must not exist; its parent must.
        trust: the content.

    Raises:
        LocalTrustError: it exists, or cannot be written; what was begun is gone.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in trust.files.items()}
    receipt = _Receipt(format=1, generation=trust.generation, newest_s=trust.newest_s, files=digests)
    begun = False
    try:
        folder.mkdir(mode=0o755)
        begun = True
        for name, content in {**trust.files, _RECEIPT: receipt.model_dump_json(indent=1).encode() + b"\n"}.items():
            write_synced(folder / name, content)
        sync_folder(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if begun:
            shutil.rmtree(folder, ignore_errors=True)
        raise LocalTrustError(
            f"the trust folder {folder} cannot be written: {error.strerror}",
            "Check free space and permissions of the state folder. What was trusted before is unchanged.",
        ) from error
    return trust
