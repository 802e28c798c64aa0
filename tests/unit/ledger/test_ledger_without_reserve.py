from __future__ import annotations

from edge_runtime.ledger.reserve import Reserve


def test_a_ledger_without_a_reserve_is_never_short_of_it(tmp_path) -> None:
    """`reserve_mb = 0` must not read as a full disk, or every delivered record would be dropped at once."""
    assert not Reserve(tmp_path / "ledger.sqlite", 0).is_low
    assert Reserve(tmp_path / "ledger.sqlite", 1_000).is_low
