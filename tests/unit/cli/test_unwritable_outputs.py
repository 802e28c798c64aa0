from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from edge_runtime.cli.main import app
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("below", ["a_file", "a_file/deeper"])
def test_a_folder_that_cannot_be_made_is_said_in_words(
    tmp_path: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the camera is opened, and no traceback."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "a_file").write_bytes(b"")
    out = tmp_path / below
    found = CliRunner().invoke(app, ["capture", "--camera", "sim", "--count", "1", "--out", str(out)]).exception
    assert isinstance(found, ConfigError)
    assert str(out) in found.what
    assert "write" in found.action


def test_a_soak_that_could_not_write_its_account_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after eight hours, when the account would be lost."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "a_file").write_bytes(b"")
    found = CliRunner().invoke(app, ["soak", "--hours", "8", "--json", str(tmp_path / "a_file" / "x")]).exception
    assert isinstance(found, ConfigError)
    assert "--json" in found.what
