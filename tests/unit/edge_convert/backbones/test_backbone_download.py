from __future__ import annotations

import hashlib
import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from edge_convert.backbones.catalog import CATALOG, Source, find
from edge_convert.backbones.download import fetch
from edge_convert.progress import Silent
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONTENT = bytes(range(256)) * 5_000


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(_CONTENT)))
        self.end_headers()
        self.wfile.write(_CONTENT[: len(_CONTENT) // 2] if self.path == "/cut.pth" else _CONTENT)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    """A library's download place on loopback."""
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    thread.join()
    listener.server_close()


def _source(url: str, content: bytes = _CONTENT) -> Source:
    return Source(url, hashlib.sha256(content).hexdigest(), "a test")


def test_a_file_with_the_pinned_hash_appears_whole(server: str, tmp_path: Path) -> None:
    """Byte for byte, and nothing beside it."""
    fetch(_source(f"{server}/good.pth"), tmp_path / "good.pth", Silent())
    assert (tmp_path / "good.pth").read_bytes() == _CONTENT
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "pinned", "said"),
    [
        ("good.pth", b"another file", "another file than the one that is known"),
        ("cut.pth", _CONTENT, "another file than|cannot be fetched"),
        ("missing.pth", _CONTENT, "cannot be fetched"),
    ],
)
def test_a_wrong_cut_or_missing_file_is_refused_and_thrown_away(
    server: str, tmp_path: Path, name: str, pinned: bytes, said: str
) -> None:
    """Nothing that was not proved stays on disk."""
    with pytest.raises(ConfigError, match=said):
        fetch(_source(f"{server}/{name}", pinned), tmp_path / name, Silent())
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_way_over_a_file_is_named(tmp_path: Path) -> None:
    """Nobody listens there: the message gives the file's name, its hash and the command for the other way."""
    with pytest.raises(ConfigError, match="cannot be fetched") as caught:
        fetch(_source("http://127.0.0.1:9/resnet.pth"), tmp_path / "resnet.pth", Silent())
    assert "--file resnet.pth" in caught.value.action
    assert hashlib.sha256(_CONTENT).hexdigest() in caught.value.action


def test_every_known_backbone_is_pinned_by_the_hash_in_its_file_name() -> None:
    """Torchvision puts the first eight digits of the SHA-256 into the name and checks them itself."""
    for source in CATALOG.values():
        assert source.url.startswith("https://")
        assert source.url.rsplit("-", 1)[1].removesuffix(".pth") == source.sha256[:8]
        assert len(source.sha256) == 64


def test_an_unknown_name_lists_the_known_ones() -> None:
    """And the way to bring a file."""
    with pytest.raises(ConfigError, match="'resnet19'") as caught:
        find("resnet19")
    assert "resnet18" in caught.value.action
    assert "--file" in caught.value.action
