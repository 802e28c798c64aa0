"""What the stages hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.frame import Frame, LostFrame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.records import EventRecord, RolloutRecord, VerdictRecord
    from edge_runtime.domain.verdict import BundleIdentity, Verdict


@dataclass(frozen=True, slots=True)
class Opened:
    """A trigger came: from now on the dispatch stage owes a verdict on this part."""

    part: Part


@dataclass(frozen=True, slots=True)
class Judged:
    """A proposal for the verdict on a part. The first one that is in time wins; later ones are dropped."""

    part: Part
    verdict: Verdict
    anomaly_map: MapSource | None = None
    recipe: Recipe | None = None
    """The one that it was judged by; None: the one in force."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The inspection of a part has begun: should it end too late, that is a matter of time and not of numbers."""

    part: Part
    place: int = 0
    """Which of the threads that look; it looks at no other part any more."""


@dataclass(frozen=True, slots=True)
class Waived:
    """A part that is not going to be inspected, because others come too fast for its turn to come in time."""

    part: Part


DispatchItem: TypeAlias = Opened | Begun | Judged | Waived


@dataclass(frozen=True, slots=True)
class RecordItem:
    """A final verdict on its way into the ledger, an event, or the report of a rollout."""

    record: VerdictRecord | EventRecord | RolloutRecord
    arrival: Frame | LostFrame | None = None
    """Settled with the camera once the record is committed. Without its exposures: a dead disk must not fill memory."""


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """What an evidence image is made of."""

    name: str
    frame: Frame
    anomaly_map: MapSource | None
    verdict: Verdict


class RecipeCell:
    """What is in force: the recipe, and who decides by it. Replaced as a whole between two frames.

    Read by any thread (assignment is atomic). The inspect stage's thread replaces both when it changes the model; the
    supervisor replaces the recipe, and only on a line whose model never changes.
    """

    def __init__(self, recipe: Recipe, bundle: BundleIdentity) -> None:
        self._both = recipe, bundle

    @property
    def both(self) -> tuple[Recipe, BundleIdentity]:
        """Recipe and model that belong together."""
        return self._both

    @property
    def current(self) -> Recipe:
        """The recipe."""
        return self._both[0]

    @property
    def bundle(self) -> BundleIdentity:
        """The model."""
        return self._both[1]

    def put(self, recipe: Recipe, bundle: BundleIdentity) -> None:
        """From now on these."""
        self._both = recipe, bundle


class LoadShed:
    """What is given up while memory is low. Set by the supervisor, read by the stages (assignment is atomic)."""

    def __init__(self) -> None:
        self.evidence = False


EventSink: TypeAlias = "Callable[[str, str, str], None]"
"""kind, severity, message: hands an EventRecord to the record stage without ever blocking."""
