"""What a command shows at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable


def of_pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Names and what is to be said of them, in two columns without lines; to the letter, brackets too."""
    table = Table.grid(padding=(0, 2))
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return table
