from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_runtime.config.line import LineConfig
from edge_runtime.config.reference import document
from edge_runtime.config.suggest import tables

if TYPE_CHECKING:
    from pydantic import BaseModel

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "configuration.md"

Rows = dict[str, tuple[str, str, str]]


def _kind(model: type[BaseModel]) -> str:
    """The heading's word for one of several kinds; "" for a table that has none."""
    return "" if "kind" not in model.model_fields else str(model.model_fields["kind"].annotation.__args__[0])


def _sections() -> dict[tuple[str, str], Rows]:
    """Type, default and meaning of each key that the committed file lists, by table and kind."""
    found: dict[tuple[str, str], Rows] = {}
    rows: Rows = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r'##+ `\[([\w.]+)\]`(?: with `kind = "(\w+)"`)?', line):
            rows = found.setdefault((heading[1], heading[2] or ""), {})
        elif row := re.fullmatch(r"\| `(\w+)` \| (.+?) \| (.+?) \| (.*) \|", line):
            rows[row[1]] = (row[2], row[3], row[4])
    return found


def test_the_reference_is_what_the_code_says() -> None:
    """Renew it with `python -m edge_runtime.config.reference docs/configuration.md`."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_every_key_of_every_table_is_listed_with_its_meaning() -> None:
    """A setting that is added without a word about it is noticed here."""
    sections = _sections()
    for table, model in tables(LineConfig):
        rows = sections[table, _kind(model)]
        assert set(rows) == set(model.model_fields), table
        assert [key for key, (_, _, meaning) in rows.items() if not meaning.strip()] == [], table


def test_nothing_is_listed_that_is_no_key() -> None:
    """No table that the code no longer knows is promised; only a table with kinds has a section without keys."""
    known = {(table, _kind(model)) for table, model in tables(LineConfig)}
    sections = _sections()
    assert {place for place, rows in sections.items() if rows} == known
    assert {table for (table, _), rows in sections.items() if not rows} == {"camera", "plc", "updates.signal"}


def test_the_defaults_can_be_pasted_into_a_configuration() -> None:
    """Each default that is shown is TOML, and the model takes it for the value that it uses itself."""
    sections, compared = _sections(), 0
    for table, model in tables(LineConfig):
        for key, (kind, default, _) in sections[table, _kind(model)].items():
            field = model.model_fields[key]
            assert (default == "**required**") == field.is_required(), f"{table}.{key}"
            if default.startswith("`") and not kind.startswith("table "):
                written = tomllib.loads(f"value = {default.strip('`')}")["value"]
                shown = tuple(written) if isinstance(written, list) else written
                used = field.default
                assert shown == (str(used) if isinstance(used, Path) else used), f"{table}.{key}"
                compared += 1
    assert compared > 50


@pytest.mark.parametrize(
    ("place", "key", "words"),
    [
        (("device", ""), "name", "text: 1 to 64 letters, digits, dots, dashes or underscores"),
        (("device", ""), "state_dir", "path"),
        (("camera", "folder"), "after", '`"keep"`, `"move"` or `"delete"`'),
        (("camera", "folder"), "patterns", "list of text"),
        (("camera", "opencv"), "source", "text or whole number"),
        (("camera", "opencv"), "width_px", "whole number, greater than 0"),
        (("plc", "modbus_rtu"), "stop_bits", "`1` or `2`"),
        (("plc", "modbus_tcp"), "ejector_coil", "whole number, 0 to 65535"),
        (("plc", "gpio"), "active_low", "`true` or `false`"),
        (("recipe", ""), "limits", "table [`[recipe.limits]`](#recipelimits)"),
        (("ops", ""), "drain_timeout_s", "number, greater than 0, at most 60"),
    ],
)
def test_types_are_in_plain_words(place: tuple[str, str], key: str, words: str) -> None:
    """Choices are spelled out as they are written in the file, and bounds are named."""
    assert _sections()[place][key][0] == words


def test_links_lead_to_sections() -> None:
    """The fragment of each link is the one that the heading gets: lower case, without punctuation."""
    text = DOCUMENT.read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w -]", "", heading) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    links = re.findall(r"\]\(#(\w+)\)", text)
    assert len(links) > len(anchors) > 10
    assert set(links) == anchors
