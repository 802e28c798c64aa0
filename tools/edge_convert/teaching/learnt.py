"""Everything that is learnt from images, before it is proved: once in float32, and said again in INT8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_convert.draft import PatchCoreParts
from edge_convert.limits import limits_for, rate_warnings
from edge_convert.teaching.rounded import say_again

if TYPE_CHECKING:
    from edge_convert.coreset import CandidatePatches
    from edge_convert.limits import ScoreLimits
    from edge_convert.precision.features import FeaturesChoice
    from edge_convert.progress import Observer
    from edge_convert.teaching.bank import Bank
    from edge_convert.teaching.bank_size import BankSize
    from edge_convert.teaching.material import Material
    from edge_convert.teaching.screening import Screening


@dataclass(frozen=True, slots=True)
class Learnt:
    """A model in one precision."""

    choice: FeaturesChoice
    parts: PatchCoreParts
    screening: Screening
    sizing: BankSize | None
    """None: the size was given."""
    bank: Bank

    @property
    def material(self) -> Material:
        """The images that are left, and how they were taught."""
        return self.screening.material

    @property
    def limits(self) -> ScoreLimits:
        """From the scores of parts that the bank had not seen, in this precision."""
        scores, rate = self.screening.held_out.scores, self.screening.rate
        found = limits_for(scores, rate)
        if self.material.options.false_reject_rate is not None:
            return found
        return replace(found, warnings=(*rate_warnings(len(scores), rate), *found.warnings))

    def in_int8(self, candidates: CandidatePatches, observer: Observer) -> Learnt:
        """The same patches, seen by the INT8 graph of `choice`.

        Raises:
            ConfigError: that graph gives values that are not finite.
            EngineError: the engine failed.
        """
        parts = replace(self.parts, features=self.choice.model)
        bank, held_out = say_again(parts, candidates, self.bank, self.screening.held_out, self.material, observer)
        return replace(self, parts=parts, bank=bank, screening=replace(self.screening, held_out=held_out))

    def without_int8(self, refusal: str) -> Learnt:
        """This, in float32, saying why it stays there."""
        choice = replace(
            self.choice,
            model=self.parts.features,
            precision="fp32",
            kept=(),
            warnings=(*self.choice.warnings, refusal),
        )
        return replace(self, choice=choice)


def float_parts(material: Material, choice: FeaturesChoice) -> PatchCoreParts:
    """The parts in float32, whatever was chosen."""
    plain = bytes(material.graph.model.SerializeToString())
    return PatchCoreParts(
        name=material.options.name,
        version=material.options.version,
        created=material.created,
        area=material.area,
        features=choice.model if choice.precision == "fp32" else plain,
        grid_height=material.graph.grid_height,
        grid_width=material.graph.grid_width,
        neighbours=material.options.neighbours,
        form=material.options.search,
    )
