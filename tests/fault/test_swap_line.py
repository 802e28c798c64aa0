"""A short piece of what `swap_line.py` does at length: see there."""

from __future__ import annotations

import argparse

import pytest
from swap_line import run


@pytest.mark.parametrize("phase", ["loaded", "not loaded"])
def test_a_model_is_changed_and_taken_back_at_fifty_parts_a_second(tmp_path, phase: str) -> None:
    """Every part has exactly one verdict, in time; the gate is far away, so that a busy machine fails no part."""
    keep_both = phase == "loaded"
    options = argparse.Namespace(parts_per_s=50.0, deadline_ms=5_000, travel_ms=6_000, threads=1, pause_s=0.2)
    account = run(tmp_path / "device", phase, 3 if keep_both else 1, options, keep_both=keep_both)
    assert account.changes >= (7 if keep_both else 3)
    assert account.findings(loaded=False) == []
