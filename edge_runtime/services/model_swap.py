"""The model that decides, and its change between two frames.

Whoever has loaded and proved another model proposes it; the inspect stage's thread takes it over when it has finished
one part and has not begun the next. Limits and identity change with it in the same step, so that no verdict mixes two.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_runtime.ops.cell import LatestValue

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


@dataclass(slots=True, eq=False)
class Swap:
    """A model that is to decide from the next part on."""

    model: Model
    record: EventRecord | None
    """Put into the ledger's queue in the moment of the change, before the first verdict of the new model."""
    asked_ns: int
    """Monotonic."""
    done: threading.Event = field(default_factory=threading.Event)
    """Set once it decides, or once a newer proposal has taken its place."""
    took_ns: int = 0
    """From the proposal to the change; of use once it is done."""


class Models:
    """Which model decides. `current` may be read by any thread; it changes in the inspect stage's thread alone."""

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
            others: further models that look at parts beside it; they stay as they are.
        """
        self._current = model
        self.others = tuple(others)
        self._in_force = in_force
        self._clock = clock
        self._events = events
        self._proposed: LatestValue[Swap] = LatestValue()
        self._manifests = {model.digest: model.bundle}
        self._others = {other.digest: other.bundle for other in self.others}
        self._renewals_before = 0
        self.swaps = 0
        """How often the model was changed since the start."""
        in_force.put(in_force.current, model.bundle.identity)

    @property
    def current(self) -> Model:
        """The one that decides."""
        return self._current

    @property
    def failing(self) -> str | None:
        """Why nothing, or not every part, can be judged; None while all is well."""
        if (why := self._current.keeper.failing) is not None:
            return why
        return next((_of(other) for other in self.others if other.keeper.failing is not None), None)

    @property
    def renewals(self) -> int:
        """How often an engine was loaded anew since the start."""
        return self._renewals_before + sum(model.keeper.renewals for model in (self._current, *self.others))

    def manifest(self, digest: str) -> ModelBundle:
        """Of a model that decided lately; of the present one where that is not known any more."""
        return self._others.get(digest) or self._manifests.get(digest, self._current.bundle)

    def acknowledge(self) -> None:
        """Somebody looked at a failing engine. Callable from any thread."""
        for model in (self._current, *self.others):
            model.keeper.acknowledge()

    def propose(self, model: Model, record: EventRecord | None = None) -> Swap:
        """Have `model` decide from the next part on; never waits. One thread at a time proposes."""
        swap = Swap(model, record, self._clock.monotonic_ns())
        if (overtaken := self._proposed.take(0)) is not None:
            overtaken.done.set()
        self._proposed.put(swap)
        return swap

    def between_frames(self) -> Model:
        """Called by the inspect stage in every round: takes over what is proposed; returns who decides now."""
        if self._proposed.peek() is not None and (swap := self._proposed.take(0)) is not None:
            self._take_over(swap)
        self._current.keeper.look_after()
        for other in self.others:
            other.keeper.look_after()
        return self._current

    def _take_over(self, swap: Swap) -> None:
        model = swap.model
        if model is not self._current:
            self._renewals_before += self._current.keeper.renewals - model.keeper.renewals
            self.remember(model)
            self._current = model
            self._in_force.put(model.recipe, model.bundle.identity)
            self.swaps += 1
        swap.took_ns = self._clock.monotonic_ns() - swap.asked_ns
        if swap.record is not None and self._events is not None:
            self._events.record(swap.record)
        swap.done.set()

    def remember(self, model: Model) -> None:
        """It decides, or a share of the parts: its pictures are drawn with its own manifest."""
        kept = {digest: bundle for digest, bundle in self._manifests.items() if digest != model.digest}
        newest = list(kept.items())[-(REMEMBERED - 1) :]
        self._manifests = {**dict(newest), model.digest: model.bundle}  # replaced as a whole: others read it


def _of(model: Model) -> str:
    """Why it is failing, and which one it is."""
    return f"{model.bundle.identity.name} {model.bundle.identity.version}: {model.keeper.failing}"
