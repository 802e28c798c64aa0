from __future__ import annotations

import pytest

from edge_convert.bench.engine_tool import stated_median_ms


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
