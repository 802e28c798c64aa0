from __future__ import annotations

import json
import socket
import threading
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.ops.health import Health, health_route, metrics_route
from edge_runtime.ops.metrics import CONTENT_TYPE, Registry
from edge_runtime.ops.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BIG = b"x" * 20_000_000


def _broken(_query: str) -> Answer:
    raise RuntimeError("defect")


@pytest.fixture
def clock() -> SimulatedClock:
    """Time stands still until a test lets a client become too slow."""
    return SimulatedClock()


@pytest.fixture
def server(clock: SimulatedClock) -> Iterator[LocalServer]:
    """A server with a few routes, on a free port."""
    routes = {
        "/echo": lambda query: Answer(HTTPStatus.OK, "text/plain", query.encode()),
        "/big": lambda _: Answer(HTTPStatus.OK, "text/plain", BIG),
        "/broken": _broken,
    }
    running = LocalServer(0, routes, clock)
    yield running
    running.close()


def get(server: LocalServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Status and body, as a real client sees them."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_routes_are_answered(server: LocalServer) -> None:
    """GET gives the body, HEAD only its length; the query reaches the route."""
    assert get(server, "/echo?a=1") == (200, b"a=1")
    assert get(server, "/echo?a=1", "HEAD") == (200, b"")


def is_ended(client: socket.socket) -> bool:
    """True once the server has closed the connection; it may do so with a reset."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/nothing", "GET", "localhost", 404),
        ("/echo", "POST", "localhost", 405),
        ("/broken", "GET", "localhost", 500),
        ("/echo", "GET", "evil.example:80", 403),
        ("/echo", "GET", "LOCALHOST:9110", 200),
        ("/echo", "GET", "[::1]:9110", 200),
    ],
)
def test_what_is_not_ours_is_refused(server: LocalServer, path: str, method: str, host: str, status: int) -> None:
    """Also a web page that had its name point at this machine (DNS rebinding). The server lives on."""
    assert get(server, path, method, Host=host)[0] == status
    assert get(server, "/echo")[0] == 200


@pytest.mark.parametrize("request_bytes", [b"nonsense\r\n\r\n", b"GET /echo\r\n\r\n", b"\xff\xfe\r\n\r\n"])
def test_nonsense_gets_an_answer_too(server: LocalServer, request_bytes: bytes) -> None:
    """400, and the connection ends."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(request_bytes)
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def test_a_request_without_end_is_cut_off(server: LocalServer) -> None:
    """8 KB are enough for any browser."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(b"GET /echo HTTP/1.1\r\nX: " + b"a" * 20_000)
        assert is_ended(client)


def test_it_listens_on_loopback_alone(server: LocalServer) -> None:
    """Nobody in the plant's network sees pictures or metrics."""
    assert server._listener.getsockname()[0] == "127.0.0.1"


def test_slow_clients_hold_up_nobody_and_are_dropped(server: LocalServer, clock: SimulatedClock) -> None:
    """One sends half a request, one does not read its answer: others are served, and after 5 s both are gone."""
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as silent,
        socket.create_connection(("127.0.0.1", server.port), 5) as deaf,
    ):
        silent.sendall(b"GET /echo HTTP/1.1\r\n")
        deaf.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        assert get(server, "/echo?still=here") == (200, b"still=here")
        clock.advance(6_000_000_000)
        assert is_ended(silent)
        received = 0
        try:
            while chunk := deaf.recv(1_000_000):
                received += len(chunk)
        except ConnectionResetError:
            pass
        assert received < len(BIG)
    assert get(server, "/echo?a")[0] == 200


def test_a_patient_client_gets_a_big_answer_whole(server: LocalServer) -> None:
    """More than a socket buffer holds."""
    assert get(server, "/big") == (200, BIG)


def test_more_clients_than_allowed_push_out_the_eldest(server: LocalServer) -> None:
    """Connections that nobody uses cannot lock the technician out."""
    idle = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(60)]
    assert get(server, "/echo?x") == (200, b"x")
    assert is_ended(idle[0])
    for client in idle:
        client.close()


def test_closing_ends_thread_and_port(server: LocalServer) -> None:
    """Nothing is left, even with a client in the middle of its request; closing twice is fine."""
    port = server.port
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET ")
        server.close()
        server.close()
        assert is_ended(client)
    assert not [thread for thread in threading.enumerate() if thread.name == "local-server"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_taken_port_is_an_error_at_once(server: LocalServer) -> None:
    """The caller decides what that means."""
    with pytest.raises(OSError, match="in use"):
        LocalServer(server.port, {})


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_health_answers_for_scripts_and_for_people(*, ready: bool, status: int) -> None:
    """The status code says ready or not; the JSON says why."""
    health = Health(ready, "Ready" if ready else "Error", {"camera": "lost", "backlog": 3})
    running = LocalServer(0, {"/health": health_route(lambda: health)})
    answered, body = get(running, "/health")
    running.close()
    assert answered == status
    assert json.loads(body) == {"ready": ready, "state": health.state, "camera": "lost", "backlog": 3}


def test_metrics_come_in_prometheus_content_type() -> None:
    """Without it newer Prometheus versions refuse the scrape."""
    registry = Registry()
    registry.counter("edge_x_total", "X.").inc()
    running = LocalServer(0, {"/metrics": metrics_route(registry)})
    connection = HTTPConnection("127.0.0.1", running.port, timeout=5)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == CONTENT_TYPE
    assert b"edge_x_total 1\n" in answer.read()
    connection.close()
    running.close()
