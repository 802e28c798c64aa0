"""Fetching one file whose hash is known beforehand."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_convert.backbones.catalog import Source
    from edge_convert.progress import Observer

_CHUNK: Final = 1 << 18
_TIMEOUT_S: Final = 20
_SIZE_LIMIT_BYTES: Final = 1 << 30


def fetch(source: Source, target: Path, observer: Observer) -> None:
    """Download into `target`, which appears only once its SHA-256 is the pinned one.

    Raises:
        ConfigError: no connection, a broken one, another content than the pinned, or a file that cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    unproven = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            found = _receive(source, file.write, observer)
        if found != source.sha256:
            raise ConfigError(
                f"{source.url} gave another file than the one that is known (sha256 {found[:16]}…, "
                f"expected {source.sha256[:16]}…); it was thrown away",
                "Try again. If it stays so, do not use it: fetch the file elsewhere and compare its SHA-256 yourself.",
            )
        unproven.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigError(
            f"{source.url} cannot be fetched: {reason}",
            "Without internet: fetch that file on another machine, bring it here, and run "
            f"`edge-convert backbone --file {Path(source.url).name} --out …`; its SHA-256 is {source.sha256}.",
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            unproven.unlink()


def _receive(source: Source, write: Callable[[bytes], object], observer: Observer) -> str:
    digest = hashlib.sha256()
    request = urllib.request.Request(source.url, headers={"User-Agent": "edge-convert"})  # noqa: S310  (from the catalogue)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310  (see above)
        total = int(reply.headers.get("Content-Length") or 0)
        with observer.stage(f"fetching {Path(source.url).name}", max(1, -(-total // _CHUNK))) as stage:
            received = 0
            while chunk := reply.read(_CHUNK):
                received += len(chunk)
                if received > _SIZE_LIMIT_BYTES:
                    raise ConfigError(f"{source.url} does not end", "Do not use it.")
                digest.update(chunk)
                write(chunk)
                stage.advance()
    return digest.hexdigest()
