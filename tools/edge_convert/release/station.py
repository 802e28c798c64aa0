"""The release station: one folder with the repository, the keys, and the root.json that devices begin with."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_convert.release.files import write_blocks
from edge_convert.release.repository import Repository, RepositorySource
from edge_convert.release.signing import Validity
from edge_runtime.bundles.release_blocks import checked
from edge_runtime.bundles.trust import verify_release
from edge_runtime.bundles.trust_folder import provision_trust

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_convert.release.keyring import KeyRing
    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.bundles.trust import VerifiedRelease

KEYS: Final = "keys"
ROOT: Final = "root.json"


class Station:
    """Everything that signing needs.

    Args:
        folder: the station.
        ring: its keys, as far as they are at hand.
        now_s: the clock, seconds since 1970.
        validity: of what is signed now.
    """

    def __init__(self, folder: Path, ring: KeyRing, now_s: int, validity: Validity | None = None) -> None:
        self.folder: Final = folder
        self.repository: Final = Repository(folder / "repository")
        self.ring: Final = ring
        self.now_s: Final = now_s
        self.validity: Final = validity or Validity()

    def publish(self, signed: dict[str, bytes], products: Iterable[str]) -> None:
        """Verify new metadata as a device would, then put it in force.

        Args:
            signed: file name → content, timestamp.json last.
            products: whose releases have to be acceptable under it.

        Raises:
            BundleError: a device would refuse it; nothing was published.
            ConfigError: it cannot be written.
        """
        for product in products:
            self.proved(RepositorySource(self.repository, product, drafts=signed), signed.get("1.root.json"))
        self.repository.publish(signed.items())
        write_blocks(self.folder / ROOT, [self.repository.roots()[-1]])

    def proved(self, source: ReleaseSource, root: bytes | None = None) -> VerifiedRelease:
        """Verify a release with all its payloads as a device does that knows nothing but the first root.

        Raises:
            BundleError: it would be refused.
        """
        first = root if root is not None else self.repository.roots()[0]
        with tempfile.TemporaryDirectory(prefix="edge-release-") as name:
            trust = Path(name) / "trust"
            provision_trust(first, trust)
            verified = verify_release(source, trust, Path(name) / "next", now_s=self.now_s, floor_s=0)
        for reference in verified.payloads:
            for _ in checked(source, reference):
                pass
        return verified
