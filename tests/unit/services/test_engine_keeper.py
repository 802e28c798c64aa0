from __future__ import annotations

import contextlib
import math
import threading

import pytest
from line_process import wait_until
from makers import BUNDLE

from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.engine_keeper import FAILURES, PAUSES_NS, EngineKeeper

SOUND = Detection(0.5, None)


class ScriptedDetector:
    """Answers what the test says; raises what is an exception."""

    bundle = BUNDLE

    def __init__(self, answer) -> None:
        self.answer = answer

    def inspect(self, exposures) -> Detection:
        """The scripted answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    """A keeper whose engine is broken, and what loading it anew gives."""

    def __init__(self, answer, *renewed) -> None:
        self.clock = SimulatedClock()
        self.detector = ScriptedDetector(answer)
        self.renewed = list(renewed)
        self.keeper = EngineKeeper(self.detector, self.renew if renewed else None, self.clock)

    def renew(self):
        """The next scripted outcome."""
        found = self.renewed.pop(0)
        if isinstance(found, Exception):
            raise found
        return ScriptedDetector(found)

    def fail(self, times: int = FAILURES) -> None:
        """Inspect; what it throws is the stage's affair."""
        for _ in range(times):
            try:
                self.keeper.inspect(())
            except Exception:  # noqa: BLE001, S112  (whatever an engine throws)
                continue

    def load(self) -> None:
        """One attempt, from its beginning to its end."""
        self.keeper.look_after()
        wait_until(lambda: not any(thread.name == "engine" for thread in threading.enumerate()), "the attempt ends")
        self.keeper.look_after()


BROKEN = EngineError("the device is gone", "restart it")


@pytest.mark.parametrize("answer", [BROKEN, MemoryError("no memory"), Detection(math.nan, None)])
def test_an_engine_that_fails_three_parts_in_a_row_is_loaded_anew(answer) -> None:
    """Whether it throws, what it throws, or whether it answers with nonsense."""
    bench = Bench(answer, SOUND)
    bench.fail(FAILURES - 1)
    assert bench.keeper.failing is None
    bench.fail(1)
    assert bench.keeper.failing is not None
    bench.load()
    assert (bench.keeper.failing, bench.keeper.renewals) == (None, 1)
    assert bench.keeper.inspect(()) is SOUND


def test_a_broken_image_is_not_the_engines_fault() -> None:
    """However many come."""
    bench = Bench(ImageError("too small", "look at the camera"), SOUND)
    bench.fail(50)
    assert bench.keeper.failing is None


def test_a_sound_part_in_between_clears_the_count() -> None:
    """Three in a row, not three in a day."""
    bench = Bench(BROKEN, SOUND)
    for _ in range(10):
        bench.detector.answer = BROKEN
        bench.fail(FAILURES - 1)
        bench.detector.answer = SOUND
        bench.keeper.inspect(())
    assert bench.keeper.failing is None


def test_parts_get_their_fault_at_once_while_the_engine_is_loaded() -> None:
    """The stage goes on: no part waits for a model that takes minutes to load."""
    bench = Bench(BROKEN, SOUND)
    release = threading.Event()
    renew = bench.renew
    bench.keeper._renew = lambda: renew() if release.wait(10) else None
    bench.fail()
    bench.keeper.look_after()
    with pytest.raises(EngineError, match="being loaded"):
        bench.keeper.inspect(())
    bench.keeper.look_after()
    release.set()
    bench.load()
    assert bench.keeper.inspect(()) is SOUND


def test_attempts_are_bounded_and_spaced_and_given_up_until_somebody_acknowledges() -> None:
    """An engine that does not load is not loaded for ever: three attempts, with growing pauses between them."""
    bench = Bench(BROKEN, *([BROKEN] * 3), RuntimeError("driver"), SOUND)
    bench.fail()
    for pause_ns in PAUSES_NS:
        if pause_ns:
            bench.clock.advance(pause_ns - 1)
            left = len(bench.renewed)
            bench.load()
            assert len(bench.renewed) == left
            bench.clock.advance(1)
        bench.load()
    assert len(bench.renewed) == 2
    bench.clock.advance(10**15)
    bench.load()
    assert len(bench.renewed) == 2
    assert "given up after 3" in bench.keeper.failing
    bench.keeper.acknowledge()
    bench.load()
    assert "driver" in bench.keeper.failing
    bench.clock.advance(PAUSES_NS[1])
    bench.load()
    assert bench.keeper.failing is None


def test_an_engine_that_proves_itself_and_fails_again_is_not_renewed_for_ever() -> None:
    """The attempts count until a part is judged, not until the golden images are."""
    bench = Bench(BROKEN, *[Detection(math.nan, None)] * 5)
    for _ in PAUSES_NS:
        bench.fail()
        bench.clock.advance(PAUSES_NS[-1])
        bench.load()
    bench.fail()
    bench.clock.advance(10**15)
    bench.load()
    assert (bench.keeper.renewals, len(bench.renewed)) == (len(PAUSES_NS), 2)
    assert "given up" in bench.keeper.failing


def test_without_a_way_to_renew_it_only_says_what_is_wrong() -> None:
    """Nothing is started."""
    bench = Bench(BROKEN)
    bench.fail()
    bench.load()
    assert bench.keeper.failing == "3 parts in a row: EngineError: the device is gone"


class HeldUpDetector(ScriptedDetector):
    """Its first call waits; what it gives then is the second answer. The others fail at once."""

    def __init__(self, late) -> None:
        super().__init__(ZeroDivisionError("the engine broke"))
        self.late = ScriptedDetector(late)
        self.entered, self.leave = threading.Event(), threading.Event()

    def inspect(self, exposures) -> Detection:
        """See above."""
        if self.entered.is_set():
            return super().inspect(exposures)
        self.entered.set()
        assert self.leave.wait(60)
        return self.late.inspect(exposures)


def _failed_beside(detector: HeldUpDetector, renew) -> tuple[EngineKeeper, threading.Thread]:
    """A keeper that has found the engine broken, while one thread still is inside."""
    keeper = EngineKeeper(detector, renew, SimulatedClock())

    def look() -> None:
        with contextlib.suppress(ZeroDivisionError):
            keeper.inspect(())

    late = threading.Thread(target=look)
    late.start()
    assert detector.entered.wait(60)
    for _ in range(FAILURES):
        look()
    assert keeper.failing is not None
    return keeper, late


@pytest.mark.parametrize("late", [SOUND, ZeroDivisionError("and that one too")], ids=["a score", "a failure"])
def test_what_another_thread_gets_of_an_engine_that_is_being_replaced_says_nothing(late) -> None:
    """While it is loaded anew nothing can be judged, and afterwards the new one has not failed yet."""
    detector, loaded = HeldUpDetector(late), threading.Event()

    def renew() -> ScriptedDetector:
        assert loaded.wait(60)
        return ScriptedDetector(SOUND)

    keeper, thread = _failed_beside(detector, renew)
    keeper.look_after()
    detector.leave.set()
    thread.join(60)
    assert keeper.failing is not None
    loaded.set()
    wait_until(lambda: keeper.look_after() or keeper.renewals == 1, "the engine is loaded anew")
    assert keeper.failing is None
    assert keeper.inspect(()) == SOUND


def test_an_engine_that_failed_after_it_was_replaced_does_not_count_against_the_new_one() -> None:
    """A part that it still held when it was loaded anew."""
    detector = HeldUpDetector(ZeroDivisionError("late"))
    keeper, thread = _failed_beside(detector, lambda: ScriptedDetector(SOUND))
    wait_until(lambda: keeper.look_after() or keeper.renewals == 1, "the engine is loaded anew")
    detector.leave.set()
    thread.join(60)
    assert keeper.failing is None
    assert keeper._failures == 0
