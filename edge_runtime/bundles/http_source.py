"""A release repository on a web server, as a ReleaseSource: metadata as asked for, payloads kept while they come.

A payload comes into a folder on the device's disk first, so that it goes on where a cut connection, a closing window or
a power cut has left it. Nothing there is trusted: a file counts only by its SHA-256, and the installation looks again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import BundleError, UpdateError
from edge_runtime.domain.model_bundle import PayloadRef
from edge_runtime.ops.http_fetch import NotThereError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge_runtime.ops.http_fetch import HttpFolder

READ_BYTES: Final = 1 << 20
SYNC_BYTES: Final = 16 << 20
"""So much may be lost of a download when the power goes."""
_PART: Final = ".part"


class DownloadFolder:
    """Payloads that came, whole, and the beginnings of those that are coming. One process uses it at a time."""

    def __init__(self, folder: Path, reserve_bytes: int = 0) -> None:
        """Nothing is made yet.

        Args:
            folder: on the disk of the device's state.
            reserve_bytes: room on that disk that is left alone.
        """
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    def has(self, payload: PayloadRef) -> bool:
        """Whether it came, by name and size; its content is hashed when it is used."""
        with contextlib.suppress(OSError):
            return self._whole(payload.sha256).stat().st_size == payload.size_bytes
        return False

    def missing_bytes(self, payloads: Iterable[PayloadRef]) -> int:
        """What is still to come of these."""
        return sum(one.size_bytes - self._there(one) for one in payloads if not self.has(one))

    def download(self, payload: PayloadRef, http: HttpFolder) -> None:
        """Let it come, on from where an earlier attempt was cut.

        Raises:
            FetchError: it could not be had now; what came is kept.
            BundleError: what came is not what was signed; nothing of it is kept.
            UpdateError: the disk does not take it, or would be filled into its reserve; what came is kept.
        """
        if self.has(payload):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._part(payload.sha256)
            self._fill(part, payload, http)
            if _sha256(part) != payload.sha256:
                part.unlink()
                raise BundleError(
                    f"{http.url}/targets/{payload.sha256} is not what was signed: its SHA-256 is another",
                    "The next check loads it anew. If it comes back, tell whoever runs the release station.",
                )
            part.rename(self._whole(payload.sha256))
        except OSError as error:
            raise UpdateError(
                f"{self._folder} does not take the download: {error.strerror or error}",
                "Look at the disk of device.state_dir; the next check goes on.",
            ) from error

    def read(self, payload: PayloadRef) -> Iterator[bytes]:
        """The file in pieces, if it came.

        Raises:
            BundleError: it cannot be read.
        """
        try:
            with self._whole(payload.sha256).open("rb") as stream:
                while piece := stream.read(READ_BYTES):
                    yield piece
        except OSError as error:
            raise BundleError(f"the download cannot be read: {error}", "The next check loads it anew.") from error

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove everything else: what belongs to a release that is no longer on offer, or is installed."""
        kept = {name for digest in digests for name in (digest, digest + _PART)}
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                if path.name not in kept:
                    with contextlib.suppress(OSError):
                        path.unlink()

    def _fill(self, part: Path, payload: PayloadRef, http: HttpFolder) -> None:
        with part.open("ab") as file:
            offset = file.tell()
            if offset > payload.size_bytes:
                file.truncate(0)
                offset = 0
            self._require_room(payload.size_bytes - offset)
            synced = offset
            try:
                for chunk in http.stream(f"targets/{payload.sha256}", payload.size_bytes, offset):
                    file.write(chunk)
                    offset += len(chunk)
                    if offset - synced >= SYNC_BYTES:
                        file.flush()
                        os.fsync(file.fileno())
                        synced = offset
                        self._require_room(payload.size_bytes - offset)
            finally:
                file.flush()
            os.fsync(file.fileno())

    def _require_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < wanted + self._reserve_bytes:
            raise UpdateError(
                f"the disk of {self._folder} has no room for the download: {wanted / 1e6:.1f} MB are to come, "
                f"{free / 1e6:.1f} MB are free, {self._reserve_bytes / 1e6:.1f} MB of them stay free",
                "Free space there, or lower updates.disk_reserve_mb. What came is kept; the next check goes on.",
            )

    def _there(self, payload: PayloadRef) -> int:
        with contextlib.suppress(OSError):
            return min(self._part(payload.sha256).stat().st_size, payload.size_bytes)
        return 0

    def _whole(self, digest: str) -> Path:
        return self._folder / digest

    def _part(self, digest: str) -> Path:
        return self._folder / (digest + _PART)


class HttpSource:
    """The release of one product in a repository. One thread uses it."""

    def __init__(self, http: HttpFolder, product: str, downloads: DownloadFolder) -> None:
        """Nothing is asked for yet.

        Args:
            http: the repository's folder.
            product: whose release.
            downloads: where payloads are kept while they come.
        """
        self._http = http
        self._product = product
        self._downloads = downloads

    @property
    def where(self) -> str:
        """See `ReleaseSource`."""
        return self._http.url

    @property
    def product(self) -> str:
        """See `ReleaseSource`."""
        return self._product

    def metadata(self, name: str, limit_bytes: int) -> bytes | None:
        """See `ReleaseSource`.

        Raises:
            FetchError: the server does not answer, or with more than that.
        """
        try:
            return self._http.fetch(f"metadata/{name}", limit_bytes)
        except NotThereError:
            return None

    def manifest(self, digest: str, size_bytes: int) -> bytes:
        """See `ReleaseSource`.

        Raises:
            FetchError: the server does not answer, has none, or with more than that.
        """
        return self._http.fetch(f"targets/{self._product}/{digest}.release.json", size_bytes)

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`. What is in the download folder is not asked for again.

        Raises:
            FetchError: it could not be had now.
            BundleError: what came is not what was signed.
        """
        wanted = PayloadRef("payload", size_bytes, digest)
        self._downloads.download(wanted, self._http)
        yield from self._downloads.read(wanted)

    def download(self, payloads: Iterable[PayloadRef], told: Callable[[int], None]) -> None:
        """Let all of them come ahead of the installation.

        Args:
            payloads: of the verified release.
            told: is given the bytes still missing, before each.

        Raises:
            FetchError: see `payload`.
            BundleError: see `payload`.
        """
        wanted = list(payloads)
        self._downloads.keep_only(one.sha256 for one in wanted)
        for one in wanted:
            told(self._downloads.missing_bytes(wanted))
            self._downloads.download(one, self._http)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
