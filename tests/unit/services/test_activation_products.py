"""The activation stage on a line that inspects several products."""

from __future__ import annotations

import pytest
from activation_bench import BAD, MODEL_BYTES, ActivationBench, digest_of, on_trial
from makers import MS

from edge_runtime.domain.update import UpdateState


@pytest.fixture
def bench(tmp_path) -> ActivationBench:
    """Memory for everything."""
    return ActivationBench(tmp_path)


def test_products_are_changed_without_loading(tmp_path) -> None:
    """All of them were loaded ahead; each keeps its own model, limits and books."""
    bench = ActivationBench(tmp_path, products=("part", "gear", "shaft"))
    bench.looks()
    assert len(bench.pool.digests()) == 3
    loads = len(bench.loader.loads)
    for product in ("gear", "shaft", "part"):
        bench.stage.switch_to(product)
        bench.looks(1)
        assert bench.models.current.product == product
        assert bench.in_force.bundle.digest == digest_of(product, 1)
    assert len(bench.loader.loads) == loads


def test_a_product_that_is_not_loaded_is_judged_by_nobody_elses_model(tmp_path) -> None:
    """Until its own is there every part gets the fail-safe."""
    bench = ActivationBench(tmp_path, products=("part", "gear"), budget=MODEL_BYTES)
    bench.looks(1)
    bench.stage.switch_to("gear")
    bench.stage.look()
    bench.models.between_frames()
    assert bench.decides() == 0
    bench.looks()
    assert bench.models.current.product == "gear"
    assert bench.decides() == 1


def test_nothing_decides_while_nobody_can_say_which_product_it_is(bench: ActivationBench) -> None:
    """And the same product goes on as soon as somebody can."""
    bench.stage.switch_to("", "product code 99 is unknown")
    bench.looks(2)
    assert bench.decides() == 0
    bench.stage.switch_to("part")
    bench.looks(2)
    assert bench.decides() == 1


def test_a_trial_rests_while_another_product_is_inspected(tmp_path) -> None:
    """Its counts are kept, its time stands still, and it goes on afterwards."""
    bench = on_trial(ActivationBench(tmp_path, products=("part", "gear")))
    bench.parts(5)
    bench.looks(1)
    bench.stage.switch_to("gear")
    bench.looks()
    bench.parts(40, BAD)
    bench.clock.advance(3_600_000 * MS)
    bench.stage.switch_to("part")
    bench.looks()
    assert (bench.decides(), bench.stage.trials.current.tally.parts) == (2, 5)
    bench.parts(20)
    bench.looks(2)
    assert bench.state(2) is UpdateState.TRIAL, "its dwell time has not passed"


def test_a_product_without_a_release_stops_the_inspection(tmp_path) -> None:
    """And its first release is put on trial when it comes."""
    bench = ActivationBench(tmp_path)
    bench.stage.switch_to("gear")
    bench.looks(2)
    assert bench.decides() == 0
    bench.install(1, "gear")
    bench.looks()
    assert (bench.models.current.product, bench.state(1, "gear")) == ("gear", UpdateState.TRIAL)


def test_a_device_with_memory_for_one_model_changes_products_all_the_same(tmp_path) -> None:
    """The old model judges nothing any more, so its memory is the new one's."""
    bench = ActivationBench(tmp_path, products=("part", "gear"), budget=MODEL_BYTES)
    bench.memory.available_bytes = MODEL_BYTES * 6 // 10
    bench.stage.switch_to("gear")
    bench.looks()
    assert (bench.models.current.product, bench.decides()) == ("gear", 1)
    assert bench.pool.digests() == (digest_of("gear", 1),)
