"""A new root: keys that were lost or stolen are replaced, signed by a quorum of the old root and of the new one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tuf.api.metadata import Metadata, Root

from edge_convert.release.key_file import COST
from edge_convert.release.keyring import name_of
from edge_convert.release.signing import expiry, next_metadata
from edge_convert.release.start import new_key
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import Key

    from edge_convert.release.repository import Standing
    from edge_convert.release.station import Station


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was signed."""

    version: int
    replaced: tuple[tuple[str, str], ...]
    """Old key and new key, by name."""


def rotate_root(
    station: Station,
    replaced: Sequence[str],
    passphrase_for: Callable[[str], str],
    *,
    cost: int = COST,
    key_source: Callable[[str], Ed25519PrivateKey] | None = None,
) -> Rotated:
    """Sign the next root and, with it, everything else anew.

    To recover from versions that a thief of the timestamp or snapshot key has driven up, replace both of these keys:
    devices then forget the versions that they vouched for.

    Args:
        station: signs; its root keys must be at hand.
        replaced: names of keys to replace; empty: the root only lasts longer.
        passphrase_for: gives the passphrase of the named new key.
        cost: scrypt's n.
        key_source: gives the named private key; None: a random one.

    Raises:
        ConfigError: no such key, or too few of them at hand.
        BundleError: a device would refuse what was signed; nothing was published.
    """
    now = station.repository.read()
    station.ring.signers(now.root, Root.type)  # before a key is made: without a quorum it would be in vain
    root = deepcopy(now.root)
    root.version += 1
    root.expires = expiry(station.now_s, station.validity.root_days)
    maker = partial(new_key, station, cost=cost, key_source=key_source)
    pairs = _replace(root, replaced, _names(station, now), lambda name: maker(name, passphrase_for(name)))
    signed = next_metadata(now, station.ring, station.now_s, station.validity, root=root)
    station.publish(signed, now.products)
    return Rotated(root.version, tuple(pairs))


def _replace(
    root: Root, replaced: Sequence[str], taken: Sequence[str], make: Callable[[str], Key]
) -> list[tuple[str, str]]:
    """Put new keys into `root` for the named ones; old and new names."""
    known = [(role, name_of(root, keyid), keyid) for role, one in root.roles.items() for keyid in one.keyids]
    pairs: list[tuple[str, str]] = []
    for name in dict.fromkeys(replaced):
        place = next(((role, keyid) for role, its_name, keyid in known if its_name == name), None)
        if place is None:
            raise ConfigError(f"there is no key {name!r}", f"There are: {', '.join(name for _, name, _ in known)}.")
        role, keyid = place
        fresh = f"{role}-{_next_number(role, [*taken, *(new for _, new in pairs)])}"
        root.revoke_key(keyid, role)
        root.add_key(make(fresh), role)
        pairs.append((name, fresh))
    return pairs


def renew(station: Station) -> None:
    """Sign what is in force again, to be accepted for longer; the releases and their digests stay as they are.

    Raises:
        ConfigError: too few keys.
        BundleError: a device would refuse what was signed; nothing was published.
    """
    now = station.repository.read()
    station.publish(next_metadata(now, station.ring, station.now_s, station.validity), now.products)


def _names(station: Station, now: Standing) -> list[str]:
    """Of every key that there ever was, and of those that were made for a rotation that came to nothing."""
    names = [file.name for file in station.ring.files]
    for content in now.roots:
        before = Metadata[Root].from_bytes(content).signed
        names += [name_of(before, keyid) for keyid in before.keys]
    return names


def _next_number(role: str, taken: Sequence[str]) -> int:
    """Numbers are never used twice."""
    numbers = [name.removeprefix(f"{role}-") for name in taken if name.startswith(f"{role}-")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0) + 1
