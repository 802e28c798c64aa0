from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from edge_runtime.config.toml_lines import KeyPath, key_lines, line_of

NAMES = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=6) | st.text(min_size=1, max_size=5).filter(
    lambda text: text.isprintable() and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)
)
TRICKY_TEXT = st.sampled_from(["", "plain", 'a "quoted" word', "it's", "x = 1 # no", "[table]", "}, ]", "back\\slash"])
SCALARS = st.one_of(st.integers(-(2**40), 2**40), st.booleans(), st.floats(-1e6, 1e6), TRICKY_TEXT)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
TABLES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


def bare(name: str) -> bool:
    """True if TOML lets the key stand without quotes."""
    return name.isascii() and all(letter.isalnum() or letter in "-_" for letter in name)


def written_key(name: str, draw: Any) -> str:
    """A key in one of the spellings that TOML allows."""
    if bare(name) and draw(st.booleans()):
        return name
    if "'" not in name and draw(st.booleans()):
        return f"'{name}'"
    return json.dumps(name, ensure_ascii=False)


def written_text(text: str, draw: Any) -> str:
    """A string in one of the four kinds."""
    styles = [json.dumps(text), f'"""\n{text.replace(chr(92), chr(92) * 2)}\\\n\n  """'.replace('"quoted"', "quoted")]
    if "'" not in text:
        styles += [f"'{text}'", f"'''\n{text}\n\n'''", f"'''{text}'''"]
    return draw(st.sampled_from(styles))


def written_value(value: Any, draw: Any) -> str:
    """A value, arrays with line ends and comments wherever TOML allows them."""
    blank = draw(st.sampled_from(["", " ", "\n", " # ], } = 'x\n", "\n\n  "]))
    match value:
        case bool():
            return str(value).lower()
        case str():
            return written_text(value, draw)
        case list():
            inner = "".join(f"{blank}{written_value(element, draw)}{blank}," for element in value)
            return f"[{inner}{blank}]"
        case dict():
            inner = ", ".join(
                f"{written_key(name, draw)} = {written_inline(element, draw)}" for name, element in value.items()
            )
            return f"{{ {inner} }}"
        case _:
            return repr(value)


def written_inline(value: Any, draw: Any) -> str:
    """A value inside an inline table."""
    return json.dumps(value) if isinstance(value, str) else written_value(value, draw)


@st.composite
def documents(draw: Any) -> str:
    """Documents with bare, quoted and dotted keys, comments, inline tables, arrays of tables, multi-line text."""
    parts: list[str] = []
    for kind, name, content in draw(st.lists(st.tuples(st.integers(0, 3), NAMES, TABLES), min_size=1, max_size=5)):
        header = written_key(name, draw)
        if kind == 0:
            parts.append(f"[{header}]  # a comment")
        elif kind == 1:
            parts.append(f"[[ {header} ]]")
            parts.append(f"[{header} . sub]" if draw(st.booleans()) else "# nothing")
        elif kind == 2:
            parts.append(f"\n[deep.{header}]\n")
        for key, value in content.items():
            prefix = f"{written_key(key, draw)} . " if draw(st.booleans()) else ""
            parts.append(f"  {prefix}{written_key(key, draw)} = {written_value(value, draw)}")
            parts.append(draw(st.sampled_from(["", "# [x]", "\n"])))
    return "\n".join(parts) + draw(st.sampled_from(["", "\n"]))


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    """Every key, table and element that tomllib sees."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, element in inner for found in ((*path, name), *paths(element, (*path, name)))]


@given(documents())
def test_every_key_is_found_on_a_line_that_names_it(text: str) -> None:
    """Whatever the spelling and layout, each key that tomllib reads has a line, and that line contains the key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()  # two parts of the generated document defined the same table
    lines = key_lines(text)
    assert set(lines) == set(paths(document))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            written = text.split("\n")[line - 1]
            assert path[-1] in written or json.dumps(path[-1], ensure_ascii=False)[1:-1] in written


def test_the_layouts_of_a_real_file_have_their_exact_lines() -> None:
    """Comments, quotes inside strings, multi-line strings and arrays do not shift the lines after them."""
    text = '''# comment = 1
title = "a # [not] a table" # x = 2

[camera]            # one
patterns = [
  "*.png",          # "]"
  '*.jpg',
]
note = """
kind = "no"
\\""" still text
"""
"quo.ted" = 1
a.b . c = 2

[[lane]]
name = 1
[[lane]]
name = 2
[lane.gate]
x = { y = 1, z = [ { w = 1 } ] }
'''
    lines = key_lines(text)
    assert lines[("title",)] == 2
    assert lines[("camera",)] == 4
    assert (lines[("camera", "patterns")], lines[("camera", "patterns", 1)]) == (5, 7)
    assert lines[("camera", "note")] == 9
    assert lines[("camera", "quo.ted")] == 13
    assert lines[("camera", "a", "b", "c")] == 14
    assert (lines[("lane", 0, "name")], lines[("lane", 1, "name")]) == (17, 19)
    assert lines[("lane", 1, "gate", "x", "z", 0, "w")] == 21


def test_a_table_written_after_its_subtable_has_its_own_line() -> None:
    """[mqtt.tls] before [mqtt] only implies mqtt; the header that names it wins."""
    assert key_lines("[mqtt.tls]\nca_file = 'x'\n[mqtt]\nport = 1\n")[("mqtt",)] == 3


@pytest.mark.parametrize(("path", "line"), [(("mqtt", "tls", "ca_file"), 2), (("plc",), 1), ((), 1)])
def test_what_is_not_written_is_reported_at_the_table_around_it(path: KeyPath, line: int) -> None:
    """A missing key has no line of its own; a technician is sent to the nearest table that is there."""
    assert line_of(key_lines("x = 1\n[mqtt]\n"), path) == line
