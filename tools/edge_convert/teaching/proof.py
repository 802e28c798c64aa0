"""How far a taught bundle departs from its float32 source, on every engine of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_convert.parity.allowance import widened
from edge_runtime.decision.parity import departures, measure, worst_ratio
from edge_runtime.domain.model_bundle import ParityLimits, Reference, ReferenceImage

if TYPE_CHECKING:
    from edge_convert.agreement import Agreement
    from edge_convert.progress import Observer
    from edge_convert.teaching.source import Source
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import ParityFigures
    from edge_runtime.domain.verdict import Limits


@dataclass(frozen=True, slots=True)
class Proof:
    """What was measured against the source."""

    source: Source
    figures: tuple[ParityFigures, ...]
    """The engine in use first."""
    beyond: tuple[str, ...]
    """How the engine in use departs farther than the limits allow; empty: parity holds."""
    agreement: Agreement
    """The other engines, without those that depart."""

    @property
    def missed(self) -> float:
        """The worst departure of the engine in use, in units of what it may be; above 1 parity does not hold."""
        return worst_ratio(self.figures[0], ParityLimits())

    @property
    def limits(self) -> ParityLimits:
        """As the bundle states them: the defaults, or wide enough for what was allowed."""
        limits = ParityLimits()
        return widened(limits, self.figures[0]) if self.beyond else limits

    def reference(self, golden: tuple[ReferenceImage, ...]) -> Reference:
        """What the bundle remembers of its source."""
        files = tuple(ReferenceImage(digest, score, defective=False) for digest, score in self.source.file_scores())
        return Reference(
            source=self.source.description,
            good_median=self.source.ruler.median,
            good_spread=self.source.ruler.spread,
            limits=self.limits,
            allowed=self.beyond,
            images=golden + files,
            measured=self.figures,
        )


def prove(
    source: Source, detector: Detector, description: str, agreement: Agreement, limits: Limits, observer: Observer
) -> Proof:
    """Compare the bundle with its source on this engine, and on the others that give the same scores.

    Args:
        source: the float32 model.
        detector: the bundle on the engine in use.
        description: of that engine.
        agreement: of the other engines.
        limits: the bundle's.
        observer: who watches.
    """
    engines = [(detector, description)]
    engines += [(other, by.description) for other, by in zip(agreement.detectors, agreement.others, strict=True)]
    figures: list[ParityFigures] = []
    kept: list[int] = []
    warnings = list(agreement.warnings)
    beyond: tuple[str, ...] = ()
    with observer.stage("the bundle against float32", len(engines)) as stage:
        for number, (one, name) in enumerate(engines):
            found = measure(source.pairs(one), limits, source.ruler, name)
            departed = departures(found, ParityLimits())
            if number == 0:
                beyond = departed
            elif departed and not beyond:
                warnings.append(f"on {name} the bundle departs from float32 ({'; '.join(departed)}): it is not for it")
                stage.advance()
                continue
            else:
                kept.append(number - 1)
            figures.append(found)
            stage.advance()
    return Proof(source, tuple(figures), beyond, agreement.only(kept, tuple(warnings)))
