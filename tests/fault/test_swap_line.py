"""A short piece of what `swap_line.py` does at length: see there."""

from __future__ import annotations

import argparse

import pytest
from swap_line import run


@pytest.mark.parametrize("keep_both", [True, False], ids=["loaded", "not loaded"])
def test_a_model_is_changed_and_taken_back_at_fifty_parts_a_second(tmp_path, keep_both: bool) -> None:
    """Every part has exactly one verdict, in time; what needs no loading is back within a second."""
    options = argparse.Namespace(parts_per_s=50.0, deadline_ms=500, threads=1, pause_s=0.2)
    account = run(tmp_path / "device", "test", 3 if keep_both else 1, options, keep_both=keep_both)
    assert account.changes >= (7 if keep_both else 3)
    assert account.findings(loaded=keep_both) == []
