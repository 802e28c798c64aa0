from __future__ import annotations

from edge_runtime.services.breakers import CAREFUL_ROWS, LOSSES, Breakers


def _lose(breakers: Breakers, sequences: set[int], times: int) -> list[int | None]:
    return [breakers.lost(sequences) for _ in range(times)]


def test_a_few_losses_with_the_same_first_row_make_careful_and_blame_nobody() -> None:
    """Which of many rows it was cannot be told yet."""
    breakers = Breakers()
    assert _lose(breakers, {3, 4, 5}, LOSSES - 1) == [None] * (LOSSES - 1)
    assert not breakers.is_careful
    assert breakers.lost({3, 4}) is None
    assert breakers.is_careful


def test_the_row_that_is_always_alone_is_to_blame() -> None:
    """Once rows go one at a time; one that is taken is out of suspicion."""
    breakers = Breakers()
    _lose(breakers, {3, 4, 5}, LOSSES)
    breakers.accepted(3)
    assert _lose(breakers, {4}, LOSSES) == [*[None] * (LOSSES - 1), 4]


def test_a_broker_that_comes_and_goes_while_it_takes_rows_makes_nobody_careful() -> None:
    """The first row in flight is another one each time."""
    breakers = Breakers()
    for first in range(1, 60, 3):
        assert breakers.lost({first, first + 1}) is None
    assert not breakers.is_careful


def test_carefulness_ends_with_rows_that_were_taken() -> None:
    """One at a time is slow."""
    breakers = Breakers()
    _lose(breakers, {1, 2}, LOSSES)
    for sequence in range(1, CAREFUL_ROWS + 1):
        assert breakers.is_careful
        breakers.accepted(sequence)
    assert not breakers.is_careful
