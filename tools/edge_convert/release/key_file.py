"""A private key in a file: Ed25519, sealed with a passphrase (scrypt, AES-256-GCM)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import Field, ValidationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from edge_convert.release.files import write_new
from edge_runtime.bundles.manifest_parts import Part
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PASSPHRASE_MIN: Final = 12
"""Characters; a shorter passphrase is refused when a key is made."""
COST: Final = 1 << 17
"""scrypt's n: 128 MB and about half a second for each guess."""
KEY_NAME: Final = "x-edge-name"
"""Field of a key in root.json: what people call it (`targets-2`)."""

_BLOCK_SIZE: Final = 8
_LIMIT_BYTES: Final = 10_000


class _Sealed(Part):
    format: Literal[1]
    name: str = Field(pattern=r"^(root|targets|snapshot|timestamp)-[1-9][0-9]{0,5}$")
    keyid: str = Field(pattern=r"^[0-9a-f]{64}$")
    kdf: Literal["scrypt"] = "scrypt"
    cost: Annotated[int, Field(ge=2, le=1 << 22)]
    salt: str
    cipher: Literal["aes-256-gcm"] = "aes-256-gcm"
    nonce: str
    sealed: str


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as it lies there, still sealed."""

    path: Path
    name: str
    keyid: str


def public_key(key: Ed25519PublicKey, name: str) -> SSlibKey:
    """The public half as root.json carries it, with the name that people use."""
    plain = SSlibKey.from_crypto(key)
    return SSlibKey(plain.keyid, plain.keytype, plain.scheme, plain.keyval, {KEY_NAME: name})


def write_key(path: Path, name: str, key: Ed25519PrivateKey, passphrase: str, *, cost: int = COST) -> CryptoSigner:
    """Seal a private key into a new file that its owner alone may read.

    Returns:
        The key, ready to sign.

    Raises:
        ConfigError: the passphrase is too short, the file exists or cannot be written.
    """
    if len(passphrase) < PASSPHRASE_MIN:
        raise ConfigError(
            f"the passphrase for {name} has {len(passphrase)} characters", f"Choose one of at least {PASSPHRASE_MIN}."
        )
    public = public_key(key.public_key(), name)
    salt, nonce = os.urandom(16), os.urandom(12)
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    sealed = AESGCM(_derive(passphrase, salt, cost)).encrypt(nonce, raw, _bound(name, public.keyid))
    content = _Sealed(
        format=1, name=name, keyid=public.keyid, cost=cost, salt=_text(salt), nonce=_text(nonce), sealed=_text(sealed)
    )
    write_new(path, content.model_dump_json(indent=1).encode() + b"\n", mode=0o600)
    return CryptoSigner(key, public)


def look_at_key(path: Path) -> KeyFile:
    """What a key file says openly.

    Raises:
        ConfigError: not a key file.
    """
    sealed = _read(path)
    return KeyFile(path, sealed.name, sealed.keyid)


def unseal(path: Path, passphrase: str) -> CryptoSigner | None:
    """The key, ready to sign; None where the passphrase is wrong (or the file was altered: the two look the same).

    Raises:
        ConfigError: not a key file.
    """
    sealed = _read(path)
    try:
        raw = AESGCM(_derive(passphrase, _bytes(sealed.salt), sealed.cost)).decrypt(
            _bytes(sealed.nonce), _bytes(sealed.sealed), _bound(sealed.name, sealed.keyid)
        )
        key = Ed25519PrivateKey.from_private_bytes(raw)
    except (InvalidTag, ValueError):
        return None
    return CryptoSigner(key, public_key(key.public_key(), sealed.name))


def _read(path: Path) -> _Sealed:
    try:
        with path.open("rb") as file:
            return _Sealed.model_validate_json(file.read(_LIMIT_BYTES))
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {error.strerror}", "Check the path.") from error
    except ValidationError as error:
        raise ConfigError(f"{path} is not a key of a release station", "Name a file that `keys init` wrote.") from error


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    memory = 128 * _BLOCK_SIZE * cost + (1 << 20)
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=cost, r=_BLOCK_SIZE, p=1, maxmem=memory, dklen=32)


def _bound(name: str, keyid: str) -> bytes:
    """A sealed key cannot be passed off under another name."""
    return json.dumps([name, keyid]).encode()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
