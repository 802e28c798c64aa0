"""The models of a line, and their change between two frames.

Whoever has loaded and proved another model proposes it; the inspect stage's thread takes it over when it has finished
one part and has not begun the next. Limits and identity change with it in the same step, so that no verdict mixes two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.services.seat import Seat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.detectors.port import Detection
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.engine_keeper import EngineKeeper
    from edge_runtime.services.events import Events
    from edge_runtime.services.flow import RecipeCell
    from edge_runtime.services.seat import Swap

REMEMBERED: Final = 16
"""Manifests of models that decided earlier: their last pictures may still be drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A proved bundle on a warm engine, with all that changes hands with it."""

    keeper: EngineKeeper
    recipe: Recipe
    """With the limits of this bundle."""
    engine: str
    """Name, version, precision and threads of what computes."""
    product: str = ""
    """What it inspects; empty where a line has one bundle for ever."""
    memory_bytes: int = 0
    """What it takes while it is loaded, as far as that could be measured."""
    load_ns: int = 0
    """How long loading, proving and warming up took."""
    is_stand_in: bool = False
    """It looks at nothing: no model may decide."""

    @property
    def bundle(self) -> ModelBundle:
        """Its manifest."""
        return self.keeper.bundle

    @property
    def digest(self) -> str:
        """Of its bundle: the key of its release in the store."""
        return self.keeper.bundle.identity.digest

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See `Detector`."""
        return self.keeper.inspect(exposures)


class Models:
    """Which models look at parts. Readable by any thread; they change in the inspect stage's thread alone."""

    def __init__(
        self,
        model: Model,
        in_force: RecipeCell,
        clock: Clock,
        events: Events | None = None,
        others: Sequence[Model] = (),
    ) -> None:
        """Begin with `model`.

        Args:
            others: further models that look at parts beside it.
        """
        self.own = Seat(model, clock, events, self._changed)
        """The line's own model: limits and identity of the line are its."""
        self.beside = tuple(Seat(other, clock, events, self.remember) for other in others)
        """One for each further model, in their order."""
        self._in_force = in_force
        self._manifests = {model.digest: model.bundle}
        self._others = {other.digest: other.bundle for other in others}
        self.looking = ""
        """Where several models are combined: digest of the one that looks at this moment, else empty."""
        in_force.put(in_force.current, model.bundle.identity)

    @property
    def current(self) -> Model:
        """The line's own."""
        return self.own.current

    @property
    def others(self) -> tuple[Model, ...]:
        """Those beside it, in their order."""
        return tuple([seat.current for seat in self.beside])

    @property
    def swaps(self) -> int:
        """How often a model was changed since the start."""
        return sum(seat.swaps for seat in (self.own, *self.beside))

    @property
    def failing(self) -> str | None:
        """Why nothing, or not every part, can be judged; None while all is well."""
        own, model = self.current, self._first_failing()
        if model is None:
            return None
        return model.keeper.failing if model is own else _of(model)

    @property
    def is_suspended(self) -> bool:
        """Whether it is failing because no model may look at all, at one place or another."""
        model = self._first_failing()
        return model is not None and model.is_stand_in

    @property
    def renewals(self) -> int:
        """How often an engine was loaded anew since the start."""
        return sum(seat.renewals for seat in (self.own, *self.beside))

    def manifest(self, digest: str) -> ModelBundle:
        """Of a model that decided lately; of the present one where that is not known any more."""
        return self._others.get(digest) or self._manifests.get(digest, self.current.bundle)

    def acknowledge(self) -> None:
        """Somebody looked at a failing engine. Callable from any thread."""
        for model in (self.current, *self.others):
            model.keeper.acknowledge()

    def propose(self, model: Model, record: EventRecord | None = None) -> Swap:
        """Have `model` take the place of the line's own; see `Seat`."""
        return self.own.propose(model, record)

    @property
    def is_to_change(self) -> bool:
        """Whether another model is proposed for any place."""
        return any(seat.is_to_change for seat in (self.own, *self.beside))

    def between_frames(self, *, may_change: bool = True) -> Model:
        """Called by the inspect stage in every round; returns the line's own. `may_change` as in `Seat`."""
        for seat in self.beside:
            seat.between_frames(may_change=may_change)
        return self.own.between_frames(may_change=may_change)

    def remember(self, model: Model) -> None:
        """It decides, or a share of the parts: its pictures are drawn with its own manifest."""
        kept = {digest: bundle for digest, bundle in self._manifests.items() if digest != model.digest}
        newest = list(kept.items())[-(REMEMBERED - 1) :]
        self._manifests = {**dict(newest), model.digest: model.bundle}  # replaced as a whole: others read it

    def _first_failing(self) -> Model | None:
        """The first of them that is, the line's own before the others."""
        models = (self.current, *self.others)
        return next((model for model in models if model.keeper.failing is not None), None)

    def _changed(self, model: Model) -> None:
        self.remember(model)
        self._in_force.put(model.recipe, model.bundle.identity)


def _of(model: Model) -> str:
    """Why it is failing, and which one it is."""
    return f"{model.bundle.identity.name} {model.bundle.identity.version}: {model.keeper.failing}"
