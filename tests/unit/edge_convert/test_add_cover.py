from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_convert.adding.cover import distances_to, scores_without_themselves, uncovered
from edge_convert.search_graph import bank_of


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.3, 3.0))
def test_every_patch_ends_within_the_radius(seed: int, parts: int, radius: float) -> None:
    """Whatever is added, no patch of the parts stays farther from the bank than asked, and no distance grows."""
    draw = np.random.default_rng(seed)
    bank = bank_of(draw.normal(0, 1, (20, 6)).astype(np.float32))
    patches = [draw.normal(draw.uniform(0, 2), 1, (15, 6)).astype(np.float32) for _ in range(parts)]
    added = uncovered(patches, bank, radius, 1_000)
    grown = bank.grown(added)
    for rows in patches:
        assert (grown.distances(rows) <= radius + 1e-3).all()
        assert (grown.distances(rows) <= bank.distances(rows) + 1e-3).all()
    assert len(uncovered(patches, bank, radius, 2)) <= 2
    alone = scores_without_themselves(patches, bank, radius, 1_000)
    assert all(score <= bank.distances(rows).max() + 1e-3 for score, rows in zip(alone, patches, strict=True))
    assert np.isinf(distances_to(patches[0], added[:0])).all()
