"""Fetching files over HTTP(S) from a plain static folder: small ones whole, large ones resumed where a cut left them.

What comes is not trusted here: it is bounded in bytes and time, and whoever asked checks its hash. A server that
redirects, compresses, trickles or sends more than was asked for is refused.
"""

from __future__ import annotations

import ssl
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import urllib3

from edge_runtime.domain.errors import Blame, ConfigError, EdgeError
from edge_runtime.ops.pacer import Pacer

if TYPE_CHECKING:
    import random
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.ops.clock import Clock

CHUNK_BYTES = 64 * 1024
OK, PARTIAL, NOT_FOUND, GONE, TOO_MANY, BROKEN = 200, 206, 404, 410, 429, 500
PROGRESS_BYTES = 64 * 1024
"""An attempt that brought so much counts as progress: the attempts begin to count anew."""
TRICKLE_BYTES = 4_096
"""Less than this within the time limit of one read is no delivery: the connection is given up."""
FIRST_PAUSE_NS, LONGEST_PAUSE_NS = 500_000_000, 30_000_000_000


class FetchError(EdgeError):
    """A file could not be fetched now."""

    blame = Blame.DEVICE


class NotThereError(FetchError):
    """The server is there and has no such file."""


class FetchStoppedError(FetchError):
    """We were asked to stop; what came so far is kept."""


class _CutError(Exception):
    """The connection or the server failed in a way that may be over at the next attempt."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What TLS needs besides the system's certificate authorities."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How patient and how greedy."""

    timeout_s: float = 30.0
    """For a connection, and for each `TRICKLE_BYTES` on it."""
    attempts: int = 6
    """In a row without progress; then the fetch is given up until the next check."""
    bytes_per_s: int | None = None
    """Most that is taken from the network, over all files; None: as fast as it comes."""


class HttpFolder:
    """The files below one address. One thread uses it.

    Args:
        url: of the folder, `http://` or `https://`.
        tls: own certificate authorities and client certificate.
        limits: how patient and how greedy.
        clock: measures rate and patience.
        stop: once set, whatever runs ends with FetchStoppedError.
        jitter: spreads the pauses between attempts.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """

    def __init__(
        self,
        url: str,
        tls: TlsFiles,
        limits: FetchLimits,
        clock: Clock,
        stop: threading.Event,
        jitter: random.Random,
    ) -> None:
        self.url = url.rstrip("/")
        self._limits = limits
        self._clock = clock
        self._stop = stop
        self._jitter = jitter
        self._pacer = Pacer(limits.bytes_per_s, clock, stop)
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(limits.timeout_s),
            headers={"User-Agent": "edge-runtime", "Accept-Encoding": "identity"},
            ssl_context=_ssl_context(tls) if url.lower().startswith("https:") else None,
        )

    def close(self) -> None:
        """Let the connection go. Idempotent."""
        self._pool.clear()

    def fetch(self, name: str, limit: int) -> bytes:
        """A small file, whole.

        Args:
            name: its path below the folder.
            limit: most bytes that it may have.

        Raises:
            NotThereError: there is none.
            FetchError: it could not be had, or is larger than `limit`.
        """
        for attempt in range(self._limits.attempts):
            self._pause(attempt)
            try:
                with _closing(self._request(name, 0)) as answer:
                    return self._whole(name, answer, limit)
            except (_CutError, urllib3.exceptions.HTTPError, OSError) as error:
                last: Exception = error
        raise self._given_up(name, last)

    def stream(self, name: str, length: int, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a large file from `offset` up to `length`, continued across cut connections.

        Args:
            name: its path below the folder.
            length: how long it is; not a byte more is taken.
            offset: how many bytes are there already.

        Raises:
            NotThereError: there is none.
            FetchError: the server gave up, sends another length, or cannot resume.
        """
        attempt, marked = 0, offset
        while offset < length:
            self._pause(attempt)
            try:
                for chunk in self._from(name, length, offset):
                    offset += len(chunk)
                    yield chunk
            except (_CutError, urllib3.exceptions.HTTPError, OSError) as error:
                attempt, marked = (1, offset) if offset - marked >= PROGRESS_BYTES else (attempt + 1, marked)
                if attempt >= self._limits.attempts:
                    raise self._given_up(name, error) from error

    def _from(self, name: str, length: int, offset: int) -> Iterator[bytes]:
        """One connection's worth of the file."""
        with _closing(self._request(name, offset)) as answer:
            skip = self._to_skip(name, answer, length, offset)
            left = length - offset
            for chunk in self._chunks(answer):
                useful = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if len(useful) > left:
                    raise self._refused(name, "sends more than the signed length")
                left -= len(useful)
                if useful:
                    yield useful
            if left:
                raise _CutError("the connection ended too early")

    def _request(self, name: str, offset: int) -> urllib3.BaseHTTPResponse:
        url = f"{self.url}/{urllib.parse.quote(name)}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._pool.request(
            "GET",
            url,
            headers={**self._pool.headers, **headers},
            preload_content=False,
            decode_content=False,
            redirect=False,
        )
        try:
            self._look_at(name, answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _look_at(self, name: str, answer: urllib3.BaseHTTPResponse) -> None:
        status = answer.status
        if status in {NOT_FOUND, GONE}:
            raise NotThereError(
                f"{self.url}/{name} is not there (HTTP {status})", "Look at what the server of [updates.ota] url holds."
            )
        if status >= BROKEN or status == TOO_MANY:
            raise _CutError(f"HTTP {status}")
        if status not in {OK, PARTIAL}:
            where = f" to {answer.headers['Location']}" if "Location" in answer.headers else ""
            raise self._refused(name, f"answers HTTP {status}{where}")
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._refused(name, f"is sent with Content-Encoding {answer.headers['Content-Encoding']}")

    def _whole(self, name: str, answer: urllib3.BaseHTTPResponse, limit: int) -> bytes:
        found = bytearray()
        for chunk in self._chunks(answer):
            found += chunk
            if len(found) > limit:
                raise self._refused(name, f"is larger than {limit} bytes")
        return bytes(found)

    def _to_skip(self, name: str, answer: urllib3.BaseHTTPResponse, length: int, offset: int) -> int:
        """How much of the answer we have already: all up to `offset` where the server does not know ranges."""
        if not offset:
            return 0
        if answer.status == OK:
            return offset
        stated = answer.headers.get("Content-Range", "")
        if stated != f"bytes {offset}-{length - 1}/{length}":
            raise self._refused(name, f"answers with the range {stated or 'none'} of another file")
        return 0

    def _chunks(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """As they come, at the permitted rate; a trickle is a cut."""
        since_ns, came = self._clock.monotonic_ns(), 0
        while chunk := answer.read1(self._pacer.largest(CHUNK_BYTES), decode_content=False):
            yield chunk
            came += len(chunk)
            if came >= TRICKLE_BYTES:
                self._pacer.took(came)
                since_ns, came = self._clock.monotonic_ns(), 0
            elif self._clock.monotonic_ns() - since_ns > self._limits.timeout_s * 1e9:
                raise _CutError(f"only {came} bytes in {self._limits.timeout_s:g} s")
            self._look_for_stop()

    def _pause(self, attempt: int) -> None:
        if attempt:
            longest_ns = min(FIRST_PAUSE_NS << (attempt - 1), LONGEST_PAUSE_NS)
            self._clock.wait(self._stop, round(longest_ns * (0.5 + self._jitter.random() / 2)))
        self._look_for_stop()

    def _look_for_stop(self) -> None:
        if self._stop.is_set():
            raise FetchStoppedError("the download was stopped", "It goes on where it was at the next check.")

    def _refused(self, name: str, why: str) -> FetchError:
        return FetchError(
            f"{self.url}/{name} {why}",
            "Look at the server of [updates.ota] url: it has to be a plain folder, at its final address.",
        )

    def _given_up(self, name: str, error: Exception) -> FetchError:
        return FetchError(
            f"{self.url}/{name} cannot be fetched: {_words(error)}",
            "Look at network, address and certificate of [updates.ota] url; what came so far is kept, the next check "
            "goes on there.",
        )


class _closing:  # noqa: N801  (used like contextlib.closing)
    """A connection whose answer was not read to its end is of no further use."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer

    def __enter__(self) -> urllib3.BaseHTTPResponse:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return f"{text} ({type(error).__name__})"


def _ssl_context(tls: TlsFiles) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if tls.ca_file is None else str(tls.ca_file))
        if tls.certificate_file is not None:
            context.load_cert_chain(str(tls.certificate_file), None if tls.key_file is None else str(tls.key_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificates of [updates.ota] cannot be used: {error}",
            "Name readable PEM files in ca_file, certificate_file and key_file; the key without a pass phrase.",
        ) from error
    return context
