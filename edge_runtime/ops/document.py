"""Documents whose tables are made by the code: `<!-- generated: NAME -->` … `<!-- end -->`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def fill(text: str, sections: Mapping[str, str]) -> str:
    """`text` with its generated sections renewed.

    Raises:
        ValueError: a section has no place in the document.
    """
    for name, content in sections.items():
        start, end = f"<!-- generated: {name} -->", "<!-- end -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the document has no section {start!r}")
        text = pattern.sub(f"{start}\n{content}\n{end}".replace("\\", r"\\"), text)
    return text


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
