"""The activation stage where the store refuses or a release does not load."""

from __future__ import annotations

import sqlite3

import pytest
from activation_bench import MODEL_BYTES, ActivationBench, digest_of, on_trial
from makers import MS

from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import UpdateState
from edge_runtime.domain.verdict import Reason


@pytest.fixture
def bench(tmp_path) -> ActivationBench:
    """Memory for everything."""
    return ActivationBench(tmp_path)


def test_a_store_that_refuses_does_not_keep_a_bad_model_on_the_line(bench: ActivationBench, monkeypatch) -> None:
    """The line first, then the books; and it is not tried again while they cannot be written."""
    on_trial(bench)

    def refuse(*_args):
        raise sqlite3.OperationalError("disk I/O error")

    bench.parts(3, Reason.ENGINE_ERROR)
    with monkeypatch.context() as broken:
        broken.setattr("edge_runtime.bundles.store_moves.fail", refuse)
        bench.looks()
        assert (bench.decides(), bench.state(2)) == (1, UpdateState.TRIAL)
        assert bench.stage.failing is not None
    bench.looks()
    assert (bench.decides(), bench.state(2), bench.stage.failing) == (1, UpdateState.ROLLED_BACK, None)


def test_a_load_that_crashes_in_any_way_ends_the_trial_and_nothing_else(bench: ActivationBench) -> None:
    """Whatever an engine throws while it loads."""

    def crash(_release):
        raise MemoryError("no memory for the bank")

    bench.loader.load = crash
    bench.install(2)
    bench.looks()
    assert (bench.decides(), bench.state(2)) == (1, UpdateState.ROLLED_BACK)
    assert "MemoryError" in bench.store.find(digest_of("part", 2)).reason


def test_a_known_good_release_that_does_not_load_is_tried_again(tmp_path) -> None:
    """It is not thrown out for it; meanwhile the line says that nothing decides."""
    bench = on_trial(ActivationBench(tmp_path, budget=MODEL_BYTES))
    bench.loader.broken.add(digest_of("part", 1))
    bench.store.request_rollback("part", "a technician", "why not")
    bench.looks()
    assert (bench.decides(), bench.state(1)) == (0, UpdateState.CONFIRMED)
    assert "model_not_loaded" in bench.told()
    bench.loader.broken.clear()
    bench.clock.advance(60_000 * MS)
    bench.looks()
    assert bench.decides() == 1


def test_a_known_good_release_whose_file_is_damaged_makes_way_for_the_one_before_it(tmp_path) -> None:
    """Without memory for two it has to be loaded after a rollback; nobody has to start the daemon anew for it."""
    bench = ActivationBench(tmp_path, budget=MODEL_BYTES)
    bench.confirmed(2)
    bench.looks()
    bench.install(3)
    bench.looks()
    assert bench.decides() == 3
    for broken in (bench.damaged, bench.loader.broken):
        broken.add(digest_of("part", 2))
    bench.parts(3, Reason.ENGINE_ERROR)
    bench.looks()
    assert (bench.decides(), bench.state(2), bench.state(3)) == (1, UpdateState.ROLLED_BACK, UpdateState.ROLLED_BACK)
    assert "model_not_loaded" in bench.told()


def test_a_new_release_is_tried_where_the_known_good_one_does_not_load(tmp_path) -> None:
    """The technician's way out of a line on which nothing decides."""
    bench = on_trial(ActivationBench(tmp_path, budget=MODEL_BYTES))
    bench.loader.broken.add(digest_of("part", 1))
    bench.store.request_rollback("part", "a technician", "why not")
    bench.looks()
    bench.install(3)
    bench.looks()
    assert (bench.decides(), bench.state(3)) == (3, UpdateState.TRIAL)


def test_a_confirmation_that_cannot_be_written_keeps_nobody_from_taking_it_back(
    bench: ActivationBench, monkeypatch
) -> None:
    """Disk full while the trial is over: it goes on deciding, and a rollback still works."""
    on_trial(bench)

    def refuse(_self, digest):
        raise UpdateError("the disk is full", "free space")

    monkeypatch.setattr(type(bench.store), "confirm", refuse)
    bench.parts(30)
    bench.looks(1)
    bench.clock.advance(2_000 * MS)
    bench.looks(2)
    assert (bench.decides(), bench.stage.failing) == (2, "the disk is full")
    bench.store.request_rollback("part", "a technician", "it smells")
    bench.looks(2)
    assert (bench.decides(), bench.stage.failing) == (1, None)


def test_what_the_store_would_not_count_is_tried_once_it_does(bench: ActivationBench, monkeypatch) -> None:
    """A release that comes while the disk is full waits, and nothing of it is loaded; then it is taken up by itself."""

    def refuse(_self, digest):
        raise UpdateError("the disk is full", "free space")

    bench.looks()
    with monkeypatch.context() as broken:
        broken.setattr(type(bench.store), "begin_trial", refuse)
        bench.install(2)
        bench.looks()
        assert (bench.decides(), bench.state(2), bench.loader.loads) == (1, UpdateState.ARMED, [])
        assert bench.stage.failing == "the disk is full"
    bench.looks()
    assert (bench.decides(), bench.state(2), bench.stage.failing) == (2, UpdateState.TRIAL, None)
