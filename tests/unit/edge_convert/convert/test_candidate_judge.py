from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_convert.convert.judgement import judged
from edge_convert.convert.judging import CandidateJudge
from edge_convert.convert.pipeline import settled
from edge_convert.convert.probes import Probe, Probes
from edge_convert.convert.proof import Proof
from edge_convert.convert.remembering import Remembering
from edge_convert.convert.scoring import GoodScores
from edge_convert.precision.choice import Candidate, Judgement, PrecisionChoice
from edge_runtime.decision.parity import Answer, good_parts, measure
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.inspection import DeferredMap
from edge_runtime.domain.model_bundle import ParityFigures, ParityLimits
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle

GOOD, DEFECTS = 20, 12
SCORES = [10.0 + 0.1 * turn for turn in range(GOOD)] + [30.0 + turn for turn in range(DEFECTS)]
LIMITS = Limits(20.0, 20.0)
INT8 = Candidate("int8", "ort-qdq", b"")


def picture(index: int) -> Exposure:
    """Of this number."""
    return np.full((2, 2), index, np.uint8)


@dataclass
class Answering:
    """Answers by the picture's number: the source's score and so much more."""

    off: dict[int, float] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    @property
    def bundle(self) -> ModelBundle:
        """Nobody wants it."""
        raise NotImplementedError

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        index = int(exposures[0][0, 0])
        self.asked.append(index)
        return Detection(SCORES[index] + self.off.get(index, 0.0), None)


def probes() -> Probes:
    """Good parts, then defects."""
    items = tuple(
        Probe(f"{index}", picture(index), index >= GOOD, Answer(score), None) for index, score in enumerate(SCORES)
    )
    return Probes(items, good_parts(SCORES[:GOOD]), planted_by_source=True)


def judge_with(detector: Answering, *, ask_all: bool = False) -> CandidateJudge:
    """A fresh one that asks this detector about everything."""
    return CandidateJudge(probes(), LIMITS, ParityLimits(), "test", lambda _: detector, ask_all)


def test_what_cannot_hold_any_more_is_not_asked_on() -> None:
    """One defect that lost half of its distance condemns an attempt; the next is asked about that defect first."""
    detector = Answering({GOOD + 3: -15.0})
    judge = judge_with(detector)
    first = judge(INT8)
    assert not first.holds
    assert "on 24 of 32 images" in first.text
    assert detector.asked == list(range(24))
    detector.asked.clear()
    assert not judge(INT8).holds
    assert detector.asked[0] == GOOD + 3
    assert len(detector.asked) == 4


def test_whoever_allows_a_loss_wants_every_figure() -> None:
    """The least bad attempt is taken then: each is asked about every image; so is float32."""
    detector = Answering({GOOD: -15.0, GOOD + 9: -18.0})
    judge = judge_with(detector, ask_all=True)
    judge(INT8)
    judge(INT8)
    assert len(detector.asked) == 2 * len(SCORES)
    detector.asked.clear()
    judge_with(detector)(Candidate("fp32", "plain", b""))
    assert len(detector.asked) == len(SCORES)


@given(off=st.lists(st.tuples(st.integers(0, len(SCORES) - 1), st.floats(-6, 6)), max_size=6), again=st.booleans())
def test_a_hurried_judge_gives_the_verdict_of_one_that_asks_all(off: list[tuple[int, float]], *, again: bool) -> None:
    """Stopping early never changes whether a candidate holds, and never overstates how bad it is."""
    detector = Answering(dict(off))
    judge = judge_with(detector)
    if again:
        judge(INT8)
    found = judge(INT8)
    pairs = probes().compare(detector)
    whole = judged(INT8, measure(pairs, LIMITS, probes().ruler, "test"), pairs, ParityLimits())
    assert found.holds == whole.holds
    assert found.badness <= whole.badness + 1e-12
    if whole.holds:
        assert found == whole


def test_an_image_is_looked_at_once() -> None:
    """The same picture gets its first answer, another one of its own; what differs in depth alone is another."""
    detector = Answering()
    remembering = Remembering(detector)
    answers = [remembering.inspect((picture(index),)) for index in (3, 4, 3)]
    remembering.inspect((picture(3).astype(np.uint16),))
    assert detector.asked == [3, 4, 3]
    assert answers[0] == answers[2]
    assert answers[0].score == pytest.approx(SCORES[3])


@dataclass
class Patches:
    """What a map is drawn from."""

    index: int

    def drawn(self) -> AnomalyMap:
        """4096×4096, of the picture's number."""
        return np.broadcast_to(np.float32(self.index), (4096, 4096))


@dataclass
class Drawing(Answering):
    """With a map, drawn from what `drawn_from` sees alive."""

    drawn_from: list[weakref.ref[Patches]] = field(default_factory=list)

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        patches = Patches(int(exposures[0][0, 0]))
        self.drawn_from.append(weakref.ref(patches))
        return Detection(super().inspect(exposures).score, DeferredMap(patches.drawn))


def test_what_a_map_would_be_drawn_from_is_not_kept() -> None:
    """An answer whose map nobody wants leaves its score; whoever wants the map after all has the picture looked at."""
    detector = Drawing()
    remembering = Remembering(detector)
    assert remembering.inspect((picture(3),)).score == remembering.inspect((picture(3),)).score
    assert [kept() for kept in detector.drawn_from] == [None]
    plane = remembering.inspect((picture(3),)).anomaly_map
    assert plane is not None
    assert plane[0, 0] == 3
    assert detector.asked == [3, 3]
    assert remembering.inspect((picture(3),)).anomaly_map is plane
    assert detector.asked == [3, 3]


def test_memory_is_bounded() -> None:
    """Beyond 32 million pixels the oldest map goes, and is drawn anew; its score stays."""
    detector = Drawing()
    remembering = Remembering(detector)
    for index in (0, 1, 2, 1, 2, 0):
        found = remembering.inspect((picture(index),)).anomaly_map
        assert found is not None
        assert found[0, 0] == index
    assert detector.asked == [0, 1, 2, 0]
    remembering.inspect((picture(1),))
    assert detector.asked == [0, 1, 2, 0]


def test_what_is_settled_on_is_told_with_its_own_figures() -> None:
    """INT8 was chosen and then refused with limits of its own: the bundle does not state INT8's drift for float32."""
    figures = ParityFigures("here", 40, 0.001, 0.002, 0, 0, None)
    score_limits = GoodScores((1.0,), (0.0, 1.0), Limits(2.0, 2.0), 0.05, "", ())
    after = Proof(Answering(), score_limits, figures, None, ())
    chosen = PrecisionChoice(Candidate("int8", "ort-qdq", b"q"), Judgement(holds=True, badness=0.9, text="INT8's own"))
    assert settled(chosen, chosen.candidate, after) is chosen
    left = settled(chosen, Candidate("fp32", "plain", b"f"), after)
    assert left.candidate.precision == "fp32"
    assert left.judgement.holds
    assert "INT8" not in left.judgement.text
    assert "0.001" in left.judgement.text
