"""The judge of the search for a precision: asks a candidate first about the images that were hardest before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from edge_convert.convert.judgement import judged
from edge_convert.convert.probes import answer_of
from edge_runtime.decision.parity import Answer, Pair, measure, worst_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_convert.convert.probes import Probe, Probes
    from edge_convert.precision.choice import Candidate, Judgement
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import ParityFigures, ParityLimits
    from edge_runtime.domain.verdict import Limits

_AT_ONCE: Final = 4
"""Of the hardest images the badness is nearly that of all."""


@dataclass
class CandidateJudge:
    """Judges candidates by the probes.

    Most attempts of a search fail. Once a candidate would fail although it answered every image still to come exactly
    as the source did, nobody asks it further.
    """

    probes: Probes
    verdict_limits: Limits
    """Of the float32 graph: a verdict flips where the two sides lie on different sides of them."""
    limits: ParityLimits
    engine_description: str
    detector_for: Callable[[Candidate], Detector]
    ask_all: bool = False
    """The badness of what fails counts too: where a loss is allowed, or numbers are asked for by name, the least bad
    candidate is taken."""
    _hardness: dict[int, float] = field(default_factory=dict)

    def __call__(self, candidate: Candidate) -> Judgement:
        """See `precision.choice.choose_precision`.

        Raises:
            EngineError: the engine cannot run the candidate.
        """
        detector, items = self.detector_for(candidate), self.probes.items
        order = sorted(range(len(items)), key=lambda index: (-self._hardness.get(index, 0.0), index))
        ask_all = self.ask_all or candidate.precision == "fp32"
        pairs: list[Pair] = []
        while True:
            start = len(pairs)
            asked, rest = order[start : start + _AT_ONCE], order[start + _AT_ONCE :]
            pairs += [self._ask(detector, index) for index in asked]
            if rest and ask_all:
                continue
            at_best = [*pairs, *(_pair(items[index], Answer(items[index].reference.score)) for index in rest)]
            judgement = judged(candidate, self._figures(at_best), at_best, self.limits)
            if not rest:
                return judgement
            if not judgement.holds:
                return replace(judgement, text=f"{judgement.text}, on {len(pairs)} of {len(items)} images")

    def _ask(self, detector: Detector, index: int) -> Pair:
        probe = self.probes.items[index]
        pair = _pair(probe, answer_of(detector.inspect((probe.exposure,))))
        self._hardness[index] = worst_ratio(self._figures([pair]), self.limits)
        return pair

    def _figures(self, pairs: Sequence[Pair]) -> ParityFigures:
        return measure(pairs, self.verdict_limits, self.probes.ruler, self.engine_description)


def _pair(probe: Probe, answer: Answer) -> Pair:
    return Pair(probe.name, probe.defective, probe.reference, answer)
