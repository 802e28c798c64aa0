from __future__ import annotations

import getpass
import os

import pytest

from edge_runtime.cli.options import who


def test_behind_sudo_stands_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history names whoever typed the command, not root."""
    monkeypatch.setenv("SUDO_USER", "maria")
    assert who() == "maria"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 4711"), OSError("No username set")])
def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """In a container; what is raised there depends on the version of Python."""

    def nobody() -> str:
        raise error

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert who() == f"user {os.getuid()}"
