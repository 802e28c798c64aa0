"""Finding the private keys that a role asks for, and unsealing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_convert.release.key_file import KEY_NAME, look_at_key, unseal
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Root

    from edge_convert.release.key_file import KeyFile

KEY_SUFFIX: Final = ".key"

_TRIES: Final = 3


class KeyRing:
    """The key files at hand, and the passphrases given so far.

    Args:
        places: key files, and folders that are searched for `*.key`. Absent ones count as empty: a key may be on a
            stick that is not plugged in.
        passphrases: tried on every key before anybody is asked.
        ask: asks a person for the passphrase of the named key; None: nobody is there to ask.
    """

    def __init__(self, places: Iterable[Path], passphrases: Sequence[str], ask: Callable[[str], str] | None) -> None:
        self._files = {file.keyid: file for file in _look(places)}
        self._passphrases = list(passphrases)
        self._ask = ask
        self._open: dict[str, CryptoSigner] = {}

    @property
    def files(self) -> tuple[KeyFile, ...]:
        """Every key file found, by name."""
        return tuple(sorted(self._files.values(), key=lambda file: file.name))

    def add(self, signer: CryptoSigner) -> None:
        """A key that was just made."""
        self._open[signer.public_key.keyid] = signer

    def signers(self, root: Root, role: str) -> list[CryptoSigner]:
        """As many keys as the role needs, unsealed.

        Raises:
            ConfigError: too few are at hand, or a passphrase is wrong; names those that are missing.
        """
        wanted = root.roles[role]
        at_hand = [keyid for keyid in wanted.keyids if keyid in self._open or keyid in self._files]
        if len(at_hand) < wanted.threshold:
            names = ", ".join(sorted(name_of(root, keyid) for keyid in wanted.keyids if keyid not in at_hand))
            raise ConfigError(
                f"{wanted.threshold} of the {len(wanted.keyids)} {role} keys must sign, {len(at_hand)} are here",
                f"Bring one of these and name its file or folder with --key: {names}.",
            )
        at_hand.sort(key=lambda keyid: (keyid not in self._open, name_of(root, keyid)))
        return [self._signer(keyid) for keyid in at_hand[: wanted.threshold]]

    def _signer(self, keyid: str) -> CryptoSigner:
        if keyid not in self._open:
            self._open[keyid] = self._unseal(self._files[keyid])
        return self._open[keyid]

    def _unseal(self, file: KeyFile) -> CryptoSigner:
        for passphrase in self._passphrases:
            if (signer := unseal(file.path, passphrase)) is not None:
                return _genuine(signer, file)
        for _ in range(_TRIES if self._ask is not None else 0):
            passphrase = self._ask(f"Passphrase of {file.name} ({file.path})") if self._ask is not None else ""
            if (signer := unseal(file.path, passphrase)) is not None:
                self._passphrases.append(passphrase)
                return _genuine(signer, file)
        raise ConfigError(f"no passphrase opens the key {file.path}", "Nothing was signed; try again.")


def name_of(root: Root, keyid: str) -> str:
    """What people call a key; the beginning of its id where it has no name."""
    return str(root.keys[keyid].unrecognized_fields.get(KEY_NAME, keyid[:12]))


def _genuine(signer: CryptoSigner, file: KeyFile) -> CryptoSigner:
    if signer.public_key.keyid != file.keyid:
        raise ConfigError(f"the key in {file.path} is not the one that the file names", "Do not use this file.")
    return signer


def _look(places: Iterable[Path]) -> list[KeyFile]:
    found = []
    for place in places:
        paths = sorted(place.glob(f"*{KEY_SUFFIX}")) if place.is_dir() else [place] if place.exists() else []
        found += [look_at_key(path) for path in paths]
    return found
