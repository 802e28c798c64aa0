"""A web server on loopback that serves a folder, and does to its clients whatever a test asks for."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Behaviour:
    """How it misbehaves; changed while it runs."""

    cut_after: int | None = None
    """Each connection ends after so many bytes of a body."""
    cuts_left: int = 1_000_000
    knows_ranges: bool = True
    wrong_range: bool = False
    status: int = 200
    """Answered instead of 200."""
    failures_left: int = 0
    """So many requests get 503 first."""
    headers: dict[str, str] = field(default_factory=dict)
    extra: bytes = b""
    """Sent behind the file."""
    trickle: threading.Event | None = None
    """One byte is sent, then nothing until this is set."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of each request."""
    sent: int = 0


@dataclass(frozen=True)
class Server:
    """One that runs."""

    url: str
    behaviour: Behaviour


@contextlib.contextmanager
def cutting_server(folder: Path, certificate: Path | None = None, key: Path | None = None) -> Iterator[Server]:
    """Serves `folder` on 127.0.0.1 until the end of the block; over TLS with a certificate."""
    behaviour = Behaviour()

    class Handler(_Handler):
        root = folder
        how = behaviour

    server = _Quiet(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    scheme = "http" if certificate is None else "https"
    try:
        yield Server(f"{scheme}://127.0.0.1:{server.server_address[1]}", behaviour)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is what is tested here."""


class _Handler(BaseHTTPRequestHandler):
    root: Path
    how: Behaviour
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Serve a file, or misbehave."""
        how = self.how
        how.requests.append((self.path, self.headers["Range"]))
        path = self.root / unquote(self.path).lstrip("/")
        if how.failures_left:
            how.failures_left -= 1
            self._plain(503)
        elif how.status != 200:
            self._plain(how.status)
        elif not path.is_file():
            self._plain(404)
        else:
            self._serve(path.read_bytes())

    def _plain(self, status: int) -> None:
        self.send_response(status)
        for name, value in self.how.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _serve(self, content: bytes) -> None:
        how, start = self.how, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and how.knows_ranges:
            start = int(asked[1])
            self.send_response(206)
            first = start + 7 if how.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:] + how.extra
        self.send_header("Content-Length", str(len(body)))
        for name, value in how.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body)

    def _send(self, body: bytes) -> None:
        how = self.how
        if how.trickle is not None:
            self.wfile.write(body[:1])
            self.wfile.flush()
            how.trickle.wait(20)
            self._cut()
        elif how.cut_after is not None and len(body) > how.cut_after and how.cuts_left:
            how.cuts_left -= 1
            self._write(body[: how.cut_after])
            self._cut()
        else:
            self._write(body)

    def _write(self, body: bytes) -> None:
        self.how.sent += len(body)  # before: whoever has read it may ask at once
        with contextlib.suppress(OSError):
            self.wfile.write(body)
            self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
