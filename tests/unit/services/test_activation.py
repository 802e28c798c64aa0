from __future__ import annotations

import pytest
from activation_bench import BAD, MODEL_BYTES, ActivationBench, digest_of, on_trial
from makers import MS

from edge_runtime.decision.update_rules import MAX_ATTEMPTS
from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.status import LineReason
from edge_runtime.domain.update import UpdateState
from edge_runtime.domain.verdict import Reason
from edge_runtime.services.condition import ActivationProbe


@pytest.fixture
def bench(tmp_path) -> ActivationBench:
    """Memory for everything."""
    return ActivationBench(tmp_path)


def test_a_new_release_is_tried_and_confirmed(bench: ActivationBench) -> None:
    """Loaded, proved and put on trial by itself; after its parts and its time it is the last-known-good one."""
    on_trial(bench)
    bench.parts(30)
    bench.looks(1)
    bench.clock.advance(2_000 * MS)
    bench.looks(2)
    assert bench.state(2) is UpdateState.CONFIRMED
    assert bench.store.standing("part").known_good.digest == digest_of("part", 2)
    assert bench.told() == ["trial_started", "model_activated", "model_confirmed"]


def test_the_attempt_is_committed_before_anything_of_the_release_runs(bench: ActivationBench) -> None:
    """What a power cut in the middle of the load finds in the books."""
    digest = bench.install(2)
    seen = []
    load = bench.loader.load
    bench.loader.load = lambda release: (seen.append(bench.store.find(digest)), load(release))[1]
    bench.looks()
    assert [(release.state, release.attempts) for release in seen] == [(UpdateState.TRIAL, 1)]


def test_a_release_that_fails_its_golden_images_never_decides(bench: ActivationBench) -> None:
    """It is quarantined, and no part noticed anything."""
    bench.loader.broken.add(bench.install(2))
    bench.looks()
    assert (bench.decides(), bench.state(2), bench.models.swaps) == (1, UpdateState.ROLLED_BACK, 0)
    assert "other scores" in bench.store.find(digest_of("part", 2)).reason
    assert bench.told() == ["model_rolled_back"]


@pytest.mark.parametrize(
    ("outcome", "parts"),
    [(Reason.ENGINE_ERROR, 3), (Reason.SCORE_INVALID, 3), (Reason.DEADLINE_MISSED, 10), (BAD, 15)],
)
def test_a_release_that_does_badly_is_taken_back_at_once(bench: ActivationBench, outcome, parts: int) -> None:
    """One look after the last straw the old model decides again, without being loaded; the books follow."""
    on_trial(bench)
    loads = len(bench.loader.loads)
    bench.parts(parts, outcome)
    bench.stage.look()
    bench.models.between_frames()
    assert (bench.decides(), bench.state(2)) == (1, UpdateState.ROLLED_BACK)
    bench.looks()
    assert (bench.decides(), len(bench.loader.loads)) == (1, loads)


def test_faults_that_are_not_the_models_change_nothing(bench: ActivationBench) -> None:
    """A camera in trouble throws out no model."""
    on_trial(bench)
    bench.parts(50, Reason.IMAGE_CORRUPT)
    bench.looks()
    assert bench.decides() == 2


def test_a_hung_inspection_is_in_the_books_although_the_line_cannot_change_over(bench: ActivationBench) -> None:
    """The watchdog will start the daemon anew, which then finds the old release."""
    on_trial(bench)
    bench.hangs = True
    bench.stage.look()
    assert bench.state(2) is UpdateState.ROLLED_BACK
    assert bench.store.resolve_start("part").digest == digest_of("part", 1)


def test_without_memory_for_two_nothing_decides_until_the_old_one_is_loaded(tmp_path) -> None:
    """A model that was thrown out judges no further part: they get the fail-safe, and the line is not ready."""
    bench = on_trial(ActivationBench(tmp_path, budget=MODEL_BYTES))
    assert bench.pool.digests() == (digest_of("part", 2),)
    bench.parts(3, Reason.ENGINE_ERROR)
    bench.stage.look()
    bench.models.between_frames()
    assert bench.decides() == 0
    assert bench.models.failing is not None
    with pytest.raises(EngineError):
        bench.models.current.inspect(())
    bench.looks()
    assert (bench.decides(), bench.models.failing) == (1, None)


def test_a_technician_takes_it_back_from_another_process(bench: ActivationBench) -> None:
    """The request goes through the books; the standby is there at the next look."""
    on_trial(bench)
    loads = len(bench.loader.loads)
    bench.store.request_rollback("part", "a technician", "too many rejects")
    bench.looks(1)
    assert (bench.decides(), len(bench.loader.loads)) == (1, loads)
    assert bench.stage.trials.current is None


def test_an_earlier_release_is_activated_by_hand(bench: ActivationBench) -> None:
    """Through its own trial."""
    bench.confirmed(2)
    bench.looks()
    assert bench.decides() == 2
    bench.store.request_activation(digest_of("part", 1), "a technician", "the new one is slow")
    bench.looks()
    assert (bench.decides(), bench.state(1)) == (1, UpdateState.TRIAL)


def test_a_newer_release_takes_the_place_of_one_on_trial(bench: ActivationBench) -> None:
    """The first trial is over without a verdict; its counts do not become the second one's."""
    on_trial(bench)
    bench.parts(10, BAD)
    bench.install(3)
    bench.looks()
    assert (bench.decides(), bench.state(2), bench.state(3)) == (3, UpdateState.STAGED, UpdateState.TRIAL)
    assert bench.stage.trials.current.tally.parts == 0


def test_a_crash_loop_ends(bench: ActivationBench) -> None:
    """A release that was loaded as often as it may be, and never confirmed, is not loaded once more."""
    digest = bench.install(2)
    for _ in range(MAX_ATTEMPTS):
        bench.store.begin_trial(digest)
    bench.looks()
    assert (bench.decides(), bench.state(2), bench.loader.loads) == (1, UpdateState.ROLLED_BACK, [])


def test_a_stop_on_purpose_is_no_crash(bench: ActivationBench) -> None:
    """The attempt is given back: a line that is switched off every evening keeps its trial."""
    on_trial(bench)
    bench.stage.finish()
    release = bench.store.find(digest_of("part", 2))
    assert (release.state, release.attempts) == (UpdateState.ARMED, 0)


def test_where_there_is_no_memory_beside_the_running_model_the_release_waits(bench: ActivationBench) -> None:
    """It is not rolled back for it, the line goes on, and it is taken up as soon as there is room."""
    bench.memory.available_bytes = MODEL_BYTES
    bench.install(2)
    bench.looks()
    assert (bench.decides(), bench.state(2)) == (1, UpdateState.ARMED)
    assert bench.told() == ["activation_waits"]
    bench.memory.available_bytes = 10 * MODEL_BYTES
    bench.clock.advance(60_000 * MS)
    bench.looks()
    assert bench.decides() == 2


def test_the_standby_goes_when_memory_runs_short(bench: ActivationBench) -> None:
    """The running model stays whatever happens."""
    on_trial(bench)
    assert len(bench.pool.digests()) == 2
    bench.memory.available_bytes = -1
    bench.looks(2)
    assert bench.pool.digests() == (digest_of("part", 2),)


def test_the_line_says_that_a_release_is_on_trial_and_that_the_store_is_silent(bench: ActivationBench) -> None:
    """A notice with how far it is; a degraded line where nothing can be taken up."""
    probe = ActivationProbe(on_trial(bench).stage)
    bench.parts(7)
    assert dict(probe(0)) == {LineReason.MODEL_ON_TRIAL: "part 2: 7 parts judged"}
    bench.stage.failing = "disk full"
    assert dict(probe(0))[LineReason.RELEASES_UNAVAILABLE] == "disk full"
