"""Where a signed release comes from: a bundle file on a stick, or a repository on a web server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class ReleaseSource(Protocol):
    """Hands out the pieces of one product's release. `trust.verify_release` decides whether they are worth anything."""

    @property
    def where(self) -> str:
        """The file or address, for messages."""

    @property
    def product(self) -> str:
        """Whose release it is, as the source says."""

    def metadata(self, name: str, limit_bytes: int) -> bytes | None:
        """One metadata file, by its name in a TUF repository: `timestamp.json`, `7.snapshot.json`, `2.root.json`.

        Returns:
            Its content; None where the source has no such file.

        Raises:
            BundleError: it has more than `limit_bytes` (no more than one byte beyond was read), or cannot be read.
        """

    def manifest(self, digest: str, size_bytes: int) -> bytes:
        """`release.json`. In a TUF repository: `targets/<product>/<digest>.release.json`.

        Args:
            digest: SHA-256 that signed metadata demands, hexadecimal.
            size_bytes: size that signed metadata demands; no more is ever read.

        Raises:
            BundleError: missing, shorter or longer, or cannot be read. The caller checks the digest.
        """

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """One payload in pieces. In a repository: `targets/<digest>`.

        Args:
            digest: SHA-256 that the signed `release.json` demands, hexadecimal.
            size_bytes: size that it demands; no more is ever handed out.

        Raises:
            BundleError: (while iterating) missing, shorter or longer, or cannot be read. The caller checks the digest.
        """
