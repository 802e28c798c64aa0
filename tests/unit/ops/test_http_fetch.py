from __future__ import annotations

import random
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from certificates import Authority
from cutting_server import Server, cutting_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leaping_clock import LeapingClock

from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.http_fetch import (
    FetchError,
    FetchLimits,
    FetchStoppedError,
    HttpFolder,
    NotThereError,
    TlsFiles,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = random.Random(5).randbytes(300_000)  # noqa: S311  (test data)

DICE = random.Random(1)  # noqa: S311  (spreads pauses)


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    """A folder with one large and one small file."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "large").write_bytes(CONTENT)
    (tmp_path / "small.json").write_bytes(b"{}")
    with cutting_server(tmp_path) as running:
        yield running


@contextmanager
def folder(
    url: str, limits: FetchLimits | None = None, tls: TlsFiles | None = None, stop: threading.Event | None = None
) -> Iterator[tuple[HttpFolder, LeapingClock]]:
    """The fetcher under test, and its clock."""
    clock = LeapingClock()
    limits = limits or FetchLimits(timeout_s=5)
    made = HttpFolder(url, tls or TlsFiles(), limits, clock, stop or threading.Event(), DICE)
    with closing(made):
        yield made, clock


def test_a_download_goes_on_where_each_cut_left_it(server) -> None:
    """A server that ends every connection after 100,000 bytes: four connections, each byte once, in order."""
    server.behaviour.cut_after = 100_000
    with folder(server.url) as (http, _):
        assert b"".join(http.stream("targets/large", len(CONTENT))) == CONTENT
    ranges = [wanted for _, wanted in server.behaviour.requests]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_a_download_goes_on_after_a_restart_of_ours(server) -> None:
    """What is on disk already is not asked for again."""
    with folder(server.url) as (http, _):
        assert b"".join(http.stream("targets/large", len(CONTENT), offset=299_000)) == CONTENT[299_000:]
    assert server.behaviour.requests == [("/targets/large", "bytes=299000-")]
    assert server.behaviour.sent == 1_000


def test_a_server_without_ranges_is_read_from_the_beginning_again(server) -> None:
    """It sends all of it each time; what is there already is skipped."""
    server.behaviour.knows_ranges = False
    server.behaviour.cut_after, server.behaviour.cuts_left = 150_000, 1
    with folder(server.url) as (http, _):
        assert b"".join(http.stream("targets/large", len(CONTENT))) == CONTENT


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(40_000, 310_000), offset=st.integers(0, 300_000), knows_ranges=st.booleans())
def test_wherever_it_is_cut_the_bytes_are_the_files(server, cut, offset, knows_ranges) -> None:
    """Any cut, any beginning, with ranges or without: exactly the rest of the file, or an error, never other bytes."""
    server.behaviour.cut_after, server.behaviour.knows_ranges = cut, knows_ranges
    found = bytearray()
    with folder(server.url, FetchLimits(timeout_s=5, attempts=4)) as (http, _):
        try:
            for chunk in http.stream("targets/large", len(CONTENT), offset=offset):
                found += chunk
        except FetchError:
            assert not knows_ranges
            assert CONTENT[offset:].startswith(found)
        else:
            assert found == CONTENT[offset:]


def test_a_server_that_never_delivers_is_given_up(server) -> None:
    """Six attempts without a byte, with growing pauses; the error says that what came so far is kept."""
    server.behaviour.cut_after = 0
    with folder(server.url) as (http, clock), pytest.raises(FetchError, match="cannot be fetched") as caught:
        list(http.stream("targets/large", len(CONTENT)))
    assert "kept" in caught.value.action
    assert len(server.behaviour.requests) == 6
    assert 5e9 < clock.waited_ns < 16e9


def test_a_passing_failure_of_the_server_is_waited_out(server) -> None:
    """503 twice, then the file."""
    server.behaviour.failures_left = 2
    with folder(server.url) as (http, clock):
        assert http.fetch("small.json", 10) == b"{}"
    assert clock.waited_ns > 0


def test_a_missing_file_is_told_from_a_failing_server(server) -> None:
    """The next root, for one, is asked for until there is none."""
    with folder(server.url) as (http, _), pytest.raises(NotThereError, match="is not there"):
        http.fetch("metadata/2.root.json", 1_000)
    assert len(server.behaviour.requests) == 1


def test_a_server_that_is_not_there_is_named(server) -> None:
    """Address and cause, for a technician."""
    with folder("http://127.0.0.1:1") as (http, _), pytest.raises(FetchError, match=r"127\.0\.0\.1:1/small"):
        http.fetch("small.json", 10)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (302, {"Location": "http://evil/x"}, "answers HTTP 302 to http://evil/x"),
        (403, {}, "answers HTTP 403"),
        (200, {"Content-Encoding": "gzip"}, "Content-Encoding gzip"),
    ],
)
def test_what_no_plain_folder_answers_is_refused(server, status, headers, words) -> None:
    """No redirection is followed, nothing is unpacked, and it is not tried again."""
    server.behaviour.status, server.behaviour.headers = status, headers
    with folder(server.url) as (http, _), pytest.raises(FetchError, match=words):
        http.fetch("small.json", 10)
    assert len(server.behaviour.requests) == 1


def test_more_than_was_signed_is_not_taken(server) -> None:
    """The signed length, and not a byte beyond it."""
    server.behaviour.extra = b"x" * 1_000_000
    found: list[bytes] = []
    with folder(server.url) as (http, _), pytest.raises(FetchError, match="more than the signed length"):
        found.extend(http.stream("targets/large", len(CONTENT)))
    assert sum(map(len, found)) <= len(CONTENT)


def test_metadata_beyond_its_limit_is_not_taken(server) -> None:
    """A server cannot fill the memory."""
    with folder(server.url) as (http, _), pytest.raises(FetchError, match="larger than 1000 bytes"):
        http.fetch("targets/large", 1_000)


def test_a_range_of_another_file_is_refused(server) -> None:
    """What does not continue where we stopped is not appended."""
    server.behaviour.wrong_range = True
    with folder(server.url) as (http, _), pytest.raises(FetchError, match="range"):
        list(http.stream("targets/large", len(CONTENT), offset=10))


def test_a_trickle_is_a_cut(server) -> None:
    """A byte and then silence: the connection is given up after the time limit, not held for ever."""
    server.behaviour.trickle = threading.Event()
    limits = FetchLimits(timeout_s=0.2, attempts=2)
    with folder(server.url, limits) as (http, _), pytest.raises(FetchError, match="cannot be fetched"):
        list(http.stream("targets/large", len(CONTENT)))
    server.behaviour.trickle.set()
    assert len(server.behaviour.requests) == 2


def test_the_bandwidth_limit_holds_over_all_files(server) -> None:
    """300 kB twice at 100 kB/s take six seconds of waiting, less the burst."""
    with folder(server.url, FetchLimits(bytes_per_s=100_000)) as (http, clock):
        for _ in range(2):
            assert len(b"".join(http.stream("targets/large", len(CONTENT)))) == len(CONTENT)
    assert 5.6e9 <= clock.waited_ns <= 6.1e9


def test_a_stop_ends_a_download_at_once(server) -> None:
    """What came so far stays with whoever keeps it."""
    stop = threading.Event()
    with folder(server.url, stop=stop) as (http, _):
        stream = http.stream("targets/large", len(CONTENT))
        assert next(stream)
        stop.set()
        with pytest.raises(FetchStoppedError):
            list(stream)


def test_only_a_server_that_the_own_authority_vouches_for_is_listened_to(tmp_path) -> None:
    """TLS with the plant's own authority; without it the certificate is refused."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "small.json").write_bytes(b"{}")
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("releases", "IP:127.0.0.1")
    with cutting_server(tmp_path / "www", certificate, key) as server:
        with folder(server.url, tls=TlsFiles(ca_file=authority.certificate)) as (http, _):
            assert http.fetch("small.json", 10) == b"{}"
        with folder(server.url) as (http, _), pytest.raises(FetchError, match="certificate"):
            http.fetch("small.json", 10)


def test_an_unreadable_authority_is_a_mistake_in_the_configuration(tmp_path) -> None:
    """Said when the updater starts, with what to do."""
    with (
        pytest.raises(ConfigError, match=r"\[updates\.ota\]"),
        folder("https://x", tls=TlsFiles(ca_file=tmp_path / "no")),
    ):
        pass
