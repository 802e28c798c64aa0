"""A small HTTP server on loopback for metrics, health and preview: one thread, bounded in clients, bytes and time."""

from __future__ import annotations

import logging
import select
import selectors
import socket
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from edge_runtime.ops.clock import Clock, SystemClock
from edge_runtime.ops.threads import of_this_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOG = logging.getLogger(__name__)
_MOST_CLIENTS = 32
_LONGEST_REQUEST_BYTES = 8_192
_PATIENCE_NS = 5_000_000_000
_TICK_S = 0.25
_LOCAL_NAMES = frozenset({"", "localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers."""

    status: HTTPStatus
    content_type: str
    body: bytes


Route: TypeAlias = "Callable[[str], Answer]"
"""Takes the query string (without `?`). Runs in the server's thread, so it must be quick and must not wait."""


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    deadline_ns: int
    received: bytearray = field(default_factory=bytearray)
    unsent: memoryview | None = None


class LocalServer:
    """Answers GET and HEAD on 127.0.0.1 until it is closed. Listens as soon as it is constructed.

    A client gets five seconds for its request and its answer; then it is dropped. Beyond 32 clients at a time the
    eldest is dropped. Requests that name a foreign host (a web page that tries to read us) are refused.

    Args:
        port: 0 takes a free one.
        routes: path → route; `/` may be among them.
        clock: for the clients' deadlines.

    Raises:
        OSError: the port is taken or not allowed.
    """

    def __init__(self, port: int, routes: Mapping[str, Route], clock: Clock | None = None) -> None:
        self._routes = dict(routes)
        self._clock = clock or SystemClock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self._alarm, self._bell = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._clients: dict[socket.socket, _Client] = {}
        self._thread = threading.Thread(target=self._serve, name=of_this_line("local-server"), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Drop all clients and end the thread. Idempotent."""
        if self._bell.fileno() < 0:
            return
        self._bell.close()  # the other end becomes readable: the thread leaves its loop
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with self._selector, self._alarm:
            while self._turn():
                pass
            for client in list(self._clients.values()):
                self._drop(client)

    def _turn(self) -> bool:
        for key, _ in self._selector.select(_TICK_S if self._clients else None):
            if key.fileobj is self._alarm:
                return False
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(client := key.data, _Client) and client.connection in self._clients:
                self._advance(client)
        now_ns = self._clock.monotonic_ns()
        for client in [client for client in self._clients.values() if client.deadline_ns <= now_ns]:
            self._drop(client)
        return True

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the client has gone again, or we are out of file descriptors: then do not spin
            select.select([self._alarm], [], [], _TICK_S)
            return
        connection.setblocking(False)
        if len(self._clients) >= _MOST_CLIENTS:
            self._drop(next(iter(self._clients.values())))
        client = _Client(connection, self._clock.monotonic_ns() + _PATIENCE_NS)
        self._clients[connection] = client
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _advance(self, client: _Client) -> None:
        try:
            finished = self._send(client) if client.unsent is not None else self._receive(client)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # the client has gone
            finished = True
        if finished:
            self._drop(client)

    def _receive(self, client: _Client) -> bool:
        data = client.connection.recv(_LONGEST_REQUEST_BYTES)
        client.received += data
        if not data:
            return True
        if b"\r\n\r\n" not in client.received:
            return len(client.received) > _LONGEST_REQUEST_BYTES
        client.unsent = memoryview(self._response(client.received.decode("latin-1")))
        self._selector.modify(client.connection, selectors.EVENT_WRITE, client)
        return False

    def _send(self, client: _Client) -> bool:
        if client.unsent is not None:
            client.unsent = client.unsent[client.connection.send(client.unsent) :]
        return not client.unsent

    def _drop(self, client: _Client) -> None:
        del self._clients[client.connection]
        self._selector.unregister(client.connection)
        client.connection.close()

    def _response(self, request: str) -> bytes:
        answer, is_head = self._answer(request)
        head = (
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        return head.encode("latin-1") + (b"" if is_head else answer.body)

    def _answer(self, request: str) -> tuple[Answer, bool]:
        lines = request.split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004  (method, target, version)
            return _plain(HTTPStatus.BAD_REQUEST), False
        method, (path, _, query) = words[0], words[1].partition("?")
        is_head = method == "HEAD"
        if not is_head and method != "GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED), False
        if _host(lines[1:]) not in _LOCAL_NAMES:
            return _plain(HTTPStatus.FORBIDDEN), is_head
        route = self._routes.get(path)
        if route is None:
            return _plain(HTTPStatus.NOT_FOUND, "known here: " + " ".join(self._routes)), is_head
        try:
            return route(query), is_head
        except Exception:  # noqa: BLE001  a defect in one page must not take metrics and health away from the line
            _LOG.exception("cannot answer %s", path)
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR), is_head


def _host(headers: list[str]) -> str:
    """The Host header without its port; empty where there is none (HTTP/1.0)."""
    for header in headers:
        name, _, value = header.partition(":")
        if name.strip().lower() == "host":
            host = value.strip().lower()
            return host if host.endswith("]") else host.rpartition(":")[0] or host
    return ""


def _plain(status: HTTPStatus, text: str = "") -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text or status.phrase}\n".encode())
