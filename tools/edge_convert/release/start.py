"""`keys init`: a new release station, its keys and its first root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from edge_convert.release.key_file import COST, write_key
from edge_convert.release.keyring import KEY_SUFFIX
from edge_convert.release.signing import expiry, first_metadata
from edge_convert.release.station import KEYS
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from securesystemslib.signer import Key

    from edge_convert.release.station import Station


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many keys a role has, and how many of them must sign."""

    threshold: int
    keys: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys <= 20:  # noqa: PLR2004
            raise ConfigError(
                f"{self.threshold} of {self.keys} keys is impossible", "Write it as 2/3: two of three, 20 at most."
            )

    @classmethod
    def parse(cls, text: str) -> Quorum:
        """`2/3`: two of three.

        Raises:
            ConfigError: anything else.
        """
        needed, _, keys = text.partition("/")
        if not (needed.isascii() and needed.isdecimal() and keys.isascii() and keys.isdecimal()):
            raise ConfigError(f"{text!r} is no quorum", "Write it as 2/3: two of three keys must sign.")
        return cls(int(needed[:6]), int(keys[:6]))


def make_station(
    station: Station,
    root: Quorum,
    targets: Quorum,
    passphrase_for: Callable[[str], str],
    *,
    cost: int = COST,
    key_source: Callable[[str], Ed25519PrivateKey] | None = None,
) -> tuple[str, ...]:
    """Make keys and sign the first metadata, which lists no release.

    Args:
        station: an empty or absent folder.
        root: keys of the root role.
        targets: keys of the targets role. Snapshot and timestamp have one each.
        passphrase_for: gives the passphrase of the named new key.
        cost: scrypt's n.
        key_source: gives the named private key; None: a random one.

    Returns:
        The names of the keys.

    Raises:
        ConfigError: the folder is in use or cannot be written.
    """
    if (station.folder / KEYS).exists() or station.repository.folder.exists():
        raise ConfigError(f"{station.folder} is a release station already", "Nothing was changed; name another folder.")
    first = Root(version=1, expires=expiry(station.now_s, station.validity.root_days), consistent_snapshot=True)
    plan = {Root.type: root, Targets.type: targets, Snapshot.type: Quorum(1, 1), Timestamp.type: Quorum(1, 1)}
    names = []
    for role, quorum in plan.items():
        for number in range(1, quorum.keys + 1):
            name = f"{role}-{number}"
            first.add_key(new_key(station, name, passphrase_for(name), cost=cost, key_source=key_source), role)
            names.append(name)
        first.roles[role].threshold = quorum.threshold
    station.publish(first_metadata(first, station.ring, station.now_s, station.validity), ())
    return tuple(names)


def new_key(
    station: Station,
    name: str,
    passphrase: str,
    *,
    cost: int = COST,
    key_source: Callable[[str], Ed25519PrivateKey] | None = None,
) -> Key:
    """Make a key, keep it sealed in the station's folder, and hand it to the ring.

    Raises:
        ConfigError: the passphrase is too short, or the file exists.
    """
    key = Ed25519PrivateKey.generate() if key_source is None else key_source(name)
    path = station.folder / KEYS / f"{name}{KEY_SUFFIX}"
    signer = write_key(path, name, key, passphrase, cost=cost)
    station.ring.add(signer)
    return signer.public_key
