from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_convert.bench.engine_tool import LOADING_S, median_ms, stated_median_ms
from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("[ INFO ]    Median:        7.31 ms\n[ INFO ]    Average:       8.49 ms", 7.31),
        ("[ INFO ]    Median:        238.31 us\n[ INFO ]    Average:       266.20 us", 0.23831),
        ("[ ERROR ] no such model", None),
    ],
)
def test_the_tools_median_is_read_in_the_unit_that_it_took(output: str, expected: float | None) -> None:
    """Small graphs of a fast machine are told in microseconds."""
    assert stated_median_ms(output) == (None if expected is None else pytest.approx(expected))


def test_a_tool_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """In words, like one that fails. Here it has no time at all."""
    with pytest.raises(EngineError, match="did not end within 0 s"):
        median_ms(b"", 1, "f32", -LOADING_S // 2, tmp_path)
