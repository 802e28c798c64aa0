from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.app.line_document import sections
from edge_runtime.domain.status import LineReason, LineState
from edge_runtime.ops.document import fill

DOCUMENT = Path(__file__).parents[3] / "docs" / "reliability.md"


def test_the_tables_are_what_the_code_does() -> None:
    """What each reason does to the line is read where it is decided (renew: see line_document)."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert fill(text, sections()) == text


def test_every_state_and_reason_is_in_the_document() -> None:
    """A technician who reads a name on a screen finds it."""
    named = set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(LineReason) | set(LineState) <= named
