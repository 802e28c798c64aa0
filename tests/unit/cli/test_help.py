from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from edge_convert.cli import PANELS as CONVERT_PANELS
from edge_convert.cli import app as convert
from edge_runtime.cli.main import PANELS as RUNTIME_PANELS
from edge_runtime.cli.main import app as runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import typer

MARKUP = re.compile(r"\[/?[a-z][^\]\n]*\]")
"""What rich takes for a style and leaves out."""


def texts(command: object, name: str) -> Iterator[tuple[str, str]]:
    """The help of a command, its parameters and its subcommands."""
    yield name, getattr(command, "help", None) or ""
    for parameter in getattr(command, "params", ()):
        yield f"{name} {parameter.name}", getattr(parameter, "help", None) or ""
    for sub, found in getattr(command, "commands", {}).items():
        yield from texts(found, f"{name} {sub}")


@pytest.mark.parametrize("app", [runtime, convert], ids=["edge-runtime", "edge-convert"])
def test_no_word_of_a_help_text_is_taken_for_a_style(app: typer.Typer) -> None:
    """`[engine]` in a help text is not printed: the sentence would stand there with a hole."""
    found = list(texts(get_command(app), ""))
    assert len(found) > 50
    assert [name for name, text in found if MARKUP.search(text)] == []


@pytest.mark.parametrize("app", [runtime, convert], ids=["edge-runtime", "edge-convert"])
def test_every_command_and_option_says_what_it_is_for(app: typer.Typer) -> None:
    """A flag without a word of explanation is one that nobody dares to use."""
    assert [name for name, text in texts(get_command(app), "") if not text.strip()] == []


@pytest.mark.parametrize(
    ("app", "panels"), [(runtime, RUNTIME_PANELS), (convert, CONVERT_PANELS)], ids=["edge-runtime", "edge-convert"]
)
def test_the_overview_follows_a_users_work(app: typer.Typer, panels: Mapping[str, tuple[str, ...]]) -> None:
    """Every command stands in one panel, and panels and commands come in the order of the work."""
    names = [name for panel in panels.values() for name in panel]
    assert sorted(names) == sorted(getattr(get_command(app), "commands", {}))
    shown = CliRunner().invoke(app, ["--help"]).stdout
    places = [shown.index(f" {panel} ") for panel in panels]
    assert places == sorted(places)
    beginnings = [line[2:].partition(" ")[0] for line in shown.splitlines() if line.startswith("│ ")]
    assert [word for word in beginnings if word in names] == names
