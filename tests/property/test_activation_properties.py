"""Whatever happens to releases, in whatever order: only what the books allow decides, and in the end what they say."""

from __future__ import annotations

import tempfile
from pathlib import Path

from activation_bench import BAD, MODEL_BYTES, ActivationBench, digest_of
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import MS

from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import UpdateState
from edge_runtime.domain.verdict import Reason

PRODUCTS = ("part", "gear")
STEP = st.one_of(
    st.tuples(st.sampled_from(["install", "install_broken"]), st.sampled_from(PRODUCTS)),
    st.tuples(st.just("switch"), st.sampled_from([*PRODUCTS, ""])),
    st.tuples(st.just("parts"), st.sampled_from([0.5, BAD, Reason.ENGINE_ERROR, Reason.DEADLINE_MISSED])),
    st.tuples(st.just("rollback"), st.sampled_from(PRODUCTS)),
    st.tuples(st.just("time"), st.sampled_from([100, 2_000, 60_000])),
    st.tuples(st.just("memory"), st.sampled_from([0, 1, 3, 10])),
    st.tuples(st.just("look"), st.just("")),
)


def take(bench: ActivationBench, kind: str, what, counter: int) -> None:
    """One thing that happens."""
    if kind.startswith("install"):
        if kind == "install_broken":
            bench.loader.broken.add(digest_of(what, counter))
        bench.install(counter, what)
    elif kind == "switch":
        bench.stage.switch_to(what, "" if what else "nobody knows")
    elif kind == "parts":
        bench.parts(25, what)
    elif kind == "rollback":
        try:
            bench.store.request_rollback(what, "somebody", "because")
        except UpdateError:
            return  # nothing to go back to
    elif kind == "time":
        bench.clock.advance(what * MS)
    elif kind == "memory":
        bench.memory.available_bytes = what * MODEL_BYTES
    bench.looks(1)


def allowed(bench: ActivationBench) -> None:
    """What must hold after every look."""
    current = bench.models.current
    if current.is_stand_in:
        return
    assert current.digest not in bench.loader.broken, "it never gave its golden scores"
    assert current.digest == bench.in_force.bundle.digest
    if current.product == bench.stage.product:
        assert bench.store.find(current.digest).state is not UpdateState.ROLLED_BACK


@given(st.lists(STEP, max_size=12))
@settings(max_examples=20, deadline=None)
def test_only_what_the_books_allow_decides_and_in_the_end_what_they_say(steps) -> None:
    """Installations, failures, rollbacks, products and short memory, in any order."""
    with tempfile.TemporaryDirectory() as folder:
        bench = ActivationBench(Path(folder), products=PRODUCTS)
        for number, (kind, what) in enumerate(steps, start=2):
            take(bench, kind, what, number)
            allowed(bench)
        bench.memory.available_bytes = 10 * MODEL_BYTES
        bench.stage.switch_to("part")
        for _ in range(3):
            bench.clock.advance(60_000 * MS)
            bench.looks(4)
        allowed(bench)
        standing = bench.store.standing("part")
        assert standing.armed is None, "what was to be taken up was taken up"
        active = standing.active
        assert active is not None
        assert (bench.models.current.digest, bench.models.current.is_stand_in) == (active.digest, False)
        assert bench.stage.failing is None
        bench.store.close()
