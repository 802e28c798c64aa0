from __future__ import annotations

import numpy as np
import pytest

from edge_convert.coreset import CandidatePatches, CoresetSize, greedy_coreset


def _plain_greedy(rows: np.ndarray, first: int, size: int) -> list[int]:
    chosen = [first]
    distances = np.square(rows - rows[first]).sum(axis=1)
    while len(chosen) < size:
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.square(rows - rows[chosen[-1]]).sum(axis=1))
    return chosen


@pytest.mark.parametrize("count", [300, 9_000])
def test_choice_by_choice_it_is_the_plain_algorithm(count: int) -> None:
    """The arrangement that saves work chooses what the textbook algorithm chooses, in its order."""
    draw = np.random.default_rng(count)
    rows = (draw.normal(0, 1, (count, 6)) @ draw.normal(0, 1, (6, 24))).astype(np.float32)
    chosen = greedy_coreset(rows, 120, seed=5)
    assert chosen.tolist() == _plain_greedy(rows.astype(np.float64), int(chosen[0]), 120)


def test_projection_keeps_the_coverage() -> None:
    """On wide features, chosen on a random projection, the farthest row is nearly as near as with the full ones."""
    draw = np.random.default_rng(1)
    rows = (draw.normal(0, 1, (2_000, 12)) @ draw.normal(0, 1, (12, 1_024))).astype(np.float32)

    def radius(chosen: list[int]) -> float:
        squared = np.min([np.square(rows - rows[index]).sum(axis=1) for index in chosen], axis=0)
        return float(np.sqrt(squared.max()))

    chosen = greedy_coreset(rows, 100, seed=2)
    assert radius(chosen.tolist()) < 1.15 * radius(_plain_greedy(rows, int(chosen[0]), 100))


def test_the_seed_decides_and_nothing_else() -> None:
    """Same rows and seed, same choice; another seed, another first centre."""
    rows = np.random.default_rng(0).normal(0, 1, (500, 8)).astype(np.float32)
    assert greedy_coreset(rows, 50, 1).tolist() == greedy_coreset(rows, 50, 1).tolist()
    assert greedy_coreset(rows, 50, 1).tolist() != greedy_coreset(rows, 50, 2).tolist()


def test_equal_rows_are_not_chosen_twice() -> None:
    """Identical images give identical patches: a bank of them still holds different rows."""
    rows = np.repeat(np.random.default_rng(0).normal(0, 1, (5, 8)).astype(np.float32), 20, axis=0)
    chosen = greedy_coreset(rows, 30, 0)
    assert len(set(chosen.tolist())) == 30
    assert len({index // 20 for index in chosen[:5].tolist()}) == 5


def test_progress_and_small_sets() -> None:
    """Progress ends at the size; a set no larger than the size is taken whole."""
    rows = np.random.default_rng(0).normal(0, 1, (100, 4)).astype(np.float32)
    seen: list[int] = []
    greedy_coreset(rows, 40, 0, seen.append)
    assert seen[-1] == 40
    assert greedy_coreset(rows, 100, 0).tolist() == list(range(100))


@pytest.mark.parametrize(
    ("patches", "expected"), [(28 * 1024, 500), (93 * 1024, 952), (2875 * 1024, 3_000), (300, 300)]
)
def test_bank_size_follows_the_share_within_its_bounds(patches: int, expected: int) -> None:
    """1 % of the patches, not below 500 nor above 3,000, never more than there are."""
    assert CoresetSize().of(patches) == expected


def test_candidates_stay_within_their_capacity() -> None:
    """However many images come, the same number of patches of each is kept, a seeded draw, and the owner is known."""
    candidates = CandidatePatches(images=10, patches_per_image=64, channels=4, capacity=200, seed=1)
    again = CandidatePatches(images=10, patches_per_image=64, channels=4, capacity=200, seed=1)
    for image in range(10):
        patches = np.full((64, 4), image, dtype=np.float32) + np.arange(64, dtype=np.float32)[:, np.newaxis] / 100
        candidates.add(image, patches)
        again.add(image, patches)
    assert candidates.rows().shape == (200, 4)
    np.testing.assert_array_equal(candidates.rows(), again.rows())
    assert np.bincount(candidates.rows()[:, 0].astype(int)).tolist() == [20] * 10
    kept = candidates.rows_at(candidates.numbers_without({2, 7}))[:, 0].astype(int)
    assert sorted(set(kept.tolist())) == [0, 1, 3, 4, 5, 6, 8, 9]
