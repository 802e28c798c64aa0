from __future__ import annotations

import io

import pytest
from rich.console import Console

from edge_convert.tables import of_pairs


@pytest.mark.parametrize("text", ["worker.py [onnx 1.2, two threads]", "/data/[new]/good", "/data/[/old]/x.bundle"])
def test_what_stands_in_brackets_is_shown(text: str) -> None:
    """Names of folders, and what a peer says of itself, are no markup: neither left out nor an error at the end."""
    shown = io.StringIO()
    Console(file=shown, width=120).print(of_pairs([(text, text)]))
    assert shown.getvalue().count(text) == 2
