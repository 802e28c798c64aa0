from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.activation import (
    Change,
    Loaded,
    Rank,
    Room,
    Stay,
    Suspend,
    Try,
    Watch,
    may_go_on,
    next_step,
    rank_of,
    to_unload,
)
from edge_runtime.domain.update import ProductStanding, ReleaseTerms, StoredRelease, UpdateState


def release(counter: int, state: UpdateState = UpdateState.CONFIRMED) -> StoredRelease:
    """A release of product `part`; its digest is its counter."""
    return StoredRelease(f"{counter}", ReleaseTerms("part", counter, 0, ()), "part", f"{counter}", 0, state, 0, 0)


ONE, TWO = release(1), release(2, UpdateState.TRIAL)


def standing(*, armed=None, trial=None, good=None) -> ProductStanding:
    """The books of product `part`."""
    return ProductStanding(armed, trial, good, 0)


def test_what_decides_and_what_should() -> None:
    """One line of the table after the other."""
    assert next_step(standing(good=ONE), "1", "part", "part") == Stay()
    assert next_step(standing(good=ONE), "2", "part", "part") == Change(ONE)
    assert next_step(standing(good=ONE, armed=TWO), "1", "part", "part") == Try(TWO)
    assert next_step(standing(good=ONE, trial=TWO), "1", "part", "part") == Try(TWO)
    assert next_step(standing(good=ONE, trial=TWO), "2", "part", "part") == Watch(TWO)
    assert next_step(standing(armed=TWO), "9", "gear", "part") == Try(TWO)
    assert isinstance(next_step(standing(), "9", "part", "part"), Suspend)


def test_another_product_begins_with_what_is_known_to_be_good() -> None:
    """Its new release comes after that: the change of products is not to wait for a load."""
    assert next_step(standing(good=ONE, armed=TWO), "9", "gear", "part") == Change(ONE)


def test_what_was_rolled_back_does_not_go_on_until_the_other_is_loaded() -> None:
    """Nor does the model of another product."""
    assert may_go_on(standing(good=ONE), "1", "part", "part")
    assert may_go_on(standing(good=ONE, trial=TWO), "2", "part", "part")
    assert not may_go_on(standing(good=ONE), "2", "part", "part")
    assert not may_go_on(standing(good=ONE), "1", "gear", "part")


def test_ranks() -> None:
    """What is needed soonest is the last to go."""
    ranks = [rank_of(digest, "run", "good", {"gear"}) for digest in ("old", "gear", "good", "run")]
    assert ranks == sorted(ranks) == list(Rank)


LOADED = st.lists(
    st.builds(
        Loaded,
        digest=st.uuids().map(str),
        rank=st.sampled_from([Rank.EARLIER, Rank.PRODUCT, Rank.STANDBY]),
        memory_bytes=st.integers(0, 1_000),
        used_ns=st.integers(0, 100),
    ),
    max_size=6,
    unique_by=lambda model: model.digest,
)
RUNNING = Loaded("running", Rank.RUNNING, 500, 0)


@given(LOADED, st.integers(0, 4_000), st.integers(0, 1_000))
def test_a_budget_is_kept_at_the_cost_of_what_is_needed_least(loaded, budget: int, wanted: int) -> None:
    """The running model never goes; nothing goes while something of lower rank stays; no more goes than has to."""
    going = to_unload([*loaded, RUNNING], Room(budget, None, 0), wanted)
    if going is None:
        assert RUNNING.memory_bytes + wanted > budget
        return
    staying = [model for model in [*loaded, RUNNING] if model.digest not in going]
    assert RUNNING in staying
    assert sum(model.memory_bytes for model in staying) + wanted <= budget
    gone = [model for model in loaded if model.digest in going]
    order = [(model.rank, model.used_ns) for model in gone]
    assert all(place <= (model.rank, model.used_ns) for place in order for model in staying)
    if gone:
        last = next(model for model in gone if model.digest == going[-1])
        assert sum(model.memory_bytes for model in staying) + last.memory_bytes + wanted > budget


@given(LOADED, st.integers(-500, 4_000), st.integers(0, 1_000))
def test_without_a_budget_the_machines_memory_decides(loaded, available: int, reserve: int) -> None:
    """Models go until what they gave back restores the reserve."""
    going = to_unload([*loaded, RUNNING], Room(None, available, reserve))
    freed = sum(model.memory_bytes for model in loaded if going is None or model.digest in going)
    assert (going is None) == (available + freed < reserve)
    if available >= reserve:
        assert going == ()


def test_where_nobody_tells_how_much_memory_there_is_everything_stays() -> None:
    """Better than to guess."""
    assert to_unload([RUNNING, Loaded("other", Rank.EARLIER, 10**12, 0)], Room(None, None, 10**9), 10**12) == ()
