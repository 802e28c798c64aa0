"""The activation stage on a real store of releases; models are loaded by a twin that answers what the test says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from line_process import wait_until
from makers import BUNDLE, MS, make_fault, make_inspection, make_part, make_recipe

from edge_runtime.bundles.store import ReleaseStore
from edge_runtime.bundles.store_open import open_store
from edge_runtime.decision.judge import judge
from edge_runtime.decision.trial import TrialRules
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.update import ReleaseTerms, StoredRelease, UpdateState
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.ops.memory import MemoryFigure
from edge_runtime.services.activation import ActivationStage
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.events import Events
from edge_runtime.services.flow import RecipeCell
from edge_runtime.services.line_view import LineView
from edge_runtime.services.model_pool import Budget, ModelPool
from edge_runtime.services.model_swap import Model, Models
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.queues import BoundedQueue

if TYPE_CHECKING:
    from pathlib import Path

RULES = TrialRules(parts=20, dwell_ns=1_000 * MS, fault_rate=0.01, late_rate=0.01, reject_rate=(0.0, 0.5))
MODEL_BYTES = 100_000_000
GOOD, BAD = 0.5, 9.0


def digest_of(product: str, counter: int) -> str:
    """One that a reader recognises."""
    return f"{counter:02d}{product.encode().hex()}".ljust(64, "0")


class SoundDetector:
    """Looks at nothing, and finds nothing wrong."""

    def __init__(self, digest: str) -> None:
        self.bundle = SimpleNamespace(
            identity=replace(BUNDLE, digest=digest, version=digest[:2], trust="production"), revision=0
        )

    def inspect(self, exposures) -> Detection:
        """A good part."""
        return Detection(GOOD, None)


class LoaderTwin:
    """A `services.model_pool.Loader`."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.loads: list[str] = []
        self.broken: set[str] = set()
        """Digests that give other scores than they should."""

    def load(self, release: StoredRelease) -> Model:
        """At once."""
        self.loads.append(release.digest)
        if release.digest in self.broken:
            raise BundleError("other scores than it was made with", "keep the previous bundle")
        return self.model(release.digest, release.terms.product)

    def model(self, digest: str, product: str) -> Model:
        """A sound model."""
        keeper = EngineKeeper(SoundDetector(digest), None, self._clock)
        return Model(keeper, make_recipe(), "twin", product, MODEL_BYTES)

    def file_bytes(self, release: StoredRelease) -> int:
        """Small."""
        return 1_000


class MemoryTwin:
    """As much memory as the test says."""

    available_bytes: int | None = 10 * MODEL_BYTES

    def look(self) -> MemoryFigure | None:
        """The present figure."""
        return None if self.available_bytes is None else MemoryFigure(self.available_bytes, 10**10, "this test")


class ActivationBench:
    """A line that runs release 1 of product `part`, confirmed; other products have one confirmed release each."""

    def __init__(self, folder: Path, *, budget: int | None = None, products: tuple[str, ...] = ("part",)) -> None:
        self.clock = SimulatedClock()
        (folder / "updates").mkdir()
        self.damaged: set[str] = set()
        """Digests whose file in the store is not what it was."""
        found = open_store(folder / "updates", self.clock, check=self._check)
        assert isinstance(found, ReleaseStore)
        self.store = found
        self.loader, self.memory, self.monitor = LoaderTwin(self.clock), MemoryTwin(), LineMonitor()
        self.hangs = False
        self.records: BoundedQueue = BoundedQueue("records", 1_000)
        self.in_force = RecipeCell(make_recipe(), BUNDLE)
        for product in products:
            self.confirmed(1, product)
        first = self.loader.model(digest_of("part", 1), "part")
        events = Events(self.records, self.clock)
        self.models = Models(first, self.in_force, self.clock, events)
        self.pool = ModelPool(self.loader, Budget(budget, 0), self.memory, self.clock)
        view = LineView(self.models.own, self.monitor, lambda: self.hangs, events, self.clock)
        self.stage = ActivationStage(self.store, self.pool, view, RULES, products)

    def _check(self, _path: Path, digest: str) -> None:
        if digest in self.damaged:
            raise BundleError("it differs from its digest", "install it again")

    def install(self, counter: int, product: str = "part") -> str:
        """A new release, to be taken up; returns its digest."""
        digest, terms = digest_of(product, counter), ReleaseTerms(product, counter, 0, ())
        new = StoredRelease(digest, terms, product, f"{counter}", 0, UpdateState.ARMED, 0, 1)
        self.store.files.bundle(digest).parent.mkdir(parents=True, exist_ok=True)
        self.store.files.bundle(digest).touch()
        self.store.intake.commit_release(new, 0, "a test", arm=True)
        return digest

    def confirmed(self, counter: int, product: str = "part") -> str:
        """A release that has been through its trial before."""
        digest = self.install(counter, product)
        self.store.begin_trial(digest)
        self.store.confirm(digest)
        return digest

    def looks(self, times: int = 8) -> None:
        """Let the stage look so often; loads come to their end in between, and the inspect stage takes over."""
        for _ in range(times):
            self.stage.look()
            if (thread := self.pool._thread) is not None:
                wait_until(lambda thread=thread: not thread.is_alive(), "the load ends")
            self.models.between_frames()

    def parts(self, count: int, outcome: float | Reason = GOOD) -> None:
        """So many parts get a verdict by whatever decides."""
        for _ in range(count):
            found = make_fault(outcome) if isinstance(outcome, Reason) else make_inspection(outcome)
            found = replace(found, bundle=self.models.current.bundle.identity)
            self.monitor.observe(judge(found, make_part(), self.in_force.current, 1_000 * MS))

    def decides(self) -> int:
        """Counter of the release that decides; 0 where nothing may."""
        current = self.models.current
        return 0 if current.is_stand_in else int(current.digest[:2])

    def state(self, counter: int, product: str = "part") -> UpdateState:
        """Where a release stands in the books."""
        return self.store.find(digest_of(product, counter)).state

    def told(self) -> list[str]:
        """The kinds of the records since the last time."""
        kinds = []
        while (item := self.records.get(0)) is not None:
            kinds.append(item.record.kind)
        return kinds


def on_trial(bench: ActivationBench) -> ActivationBench:
    """Release 2 has just begun to decide."""
    bench.install(2)
    bench.looks()
    assert (bench.decides(), bench.state(2)) == (2, UpdateState.TRIAL)
    return bench
