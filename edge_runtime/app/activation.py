"""The release that a line with a product starts with, and the stage that changes it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_runtime.app.inspection import inspector_of
from edge_runtime.app.models import Opener, proved
from edge_runtime.app.stored import load_stored
from edge_runtime.bundles.archive import open_bundle, open_release
from edge_runtime.domain.errors import EdgeError, UpdateError
from edge_runtime.domain.update import UpdateState
from edge_runtime.ops.memory import SystemMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.app.models import ModelMaker
    from edge_runtime.app.sharing import Assemble
    from edge_runtime.app.stages import Common
    from edge_runtime.bundles.archive import OpenBundle
    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.trial import TrialSettings
    from edge_runtime.decision.trial import TrialRules
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.activation import ActivationStage
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.vitals import Vitals

STORE_FOLDER = "updates"
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Start:
    """What a line with a product begins with."""

    store: UpdateStore
    release: StoredRelease
    inspector: Inspector
    opener: Opener


def releases_of(config: LineConfig, clock: Clock) -> UpdateStore | None:
    """The device's store of releases; None for a line that runs a file.

    Raises:
        UpdateError: it cannot be opened.
    """
    if config.bundle.product is None:
        return None
    from edge_runtime.bundles.store_open import open_store  # noqa: PLC0415  (a line that runs a file has no store)

    return open_store(config.device.state_dir / STORE_FOLDER, clock, config.updates.keep_versions)


def opener_of(
    config: LineConfig, store: UpdateStore, release: StoredRelease, assemble: Assemble = inspector_of
) -> Opener:
    """Loads this release from the store."""
    path = store.path(release.digest)
    return lambda: load_stored(path, release.digest, config.engine, assemble)


def open_active(config: LineConfig, clock: Clock) -> OpenBundle:
    """The bundle that the line runs or would start with, for looking at it; nothing is changed.

    Raises:
        EdgeError: there is none, or it cannot be used.
    """
    return _open_source(config, clock, config.bundle.path, config.bundle.product)


def open_further(config: LineConfig, clock: Clock) -> Iterator[OpenBundle]:
    """As `open_active`, the bundles of `recipe.combine.members`, one after the other.

    Raises:
        EdgeError: one is not there, or cannot be used.
    """
    combine = config.recipe.combine
    for member in () if combine is None else combine.members:
        yield _open_source(config, clock, member.bundle, member.product)


def _open_source(config: LineConfig, clock: Clock, path: Path | None, product: str | None) -> OpenBundle:
    if path is not None:
        return open_bundle(path, trust=config.bundle.trust)
    store = releases_of(config, clock)
    if store is None or product is None:
        raise AssertionError  # a model is a file or the release of a product
    try:
        standing = store.standing(product)
        release = standing.active or standing.armed
        if release is None:
            raise UpdateError(
                f"there is no release of product {product} on this device",
                "Install one: `edge-runtime bundle install FILE`.",
            )
        return open_release(store.path(release.digest), digest=release.digest)
    finally:
        store.close()


def start_release(
    config: LineConfig,
    store: UpdateStore,
    product: str,
    assemble: Assemble = inspector_of,
    *,
    may_try: bool = True,
    refuse: Callable[[Inspector], None] | None = None,
) -> Start:
    """What has to decide at the start, loaded and proved; a release on trial that fails at it is rolled back.

    Args:
        config: of the line.
        store: with its releases.
        product: whose release.
        assemble: puts a bundle on its engine.
        may_try: otherwise a release that is due waits, where there is another one that may run.
        refuse: raises EdgeError for a model that may not stand where it is to stand.

    Raises:
        EdgeError: nothing of this product may run, or what may does not load.
    """
    while True:
        release, on_trial = _begun(store, store.resolve_start(product), may_try=may_try)
        opener = opener_of(config, store, release, assemble)
        try:
            return Start(store, release, _accepted(opener, refuse), opener)
        except EdgeError as error:
            if not on_trial:
                raise
            if store.roll_back(release.digest, error.what) is None:
                raise UpdateError(
                    f"{release.name} {release.version} failed its proof, and there is no other release of {product} "
                    f"that may run: {error.what}",
                    "Install another release: `edge-runtime bundle install FILE`.",
                ) from error


def _accepted(opener: Opener, refuse: Callable[[Inspector], None] | None) -> Inspector:
    with contextlib.ExitStack() as undo:
        inspector = proved(opener)
        undo.callback(inspector.close)
        if refuse is not None:
            refuse(inspector)
        undo.pop_all()
        return inspector


def _begun(store: UpdateStore, release: StoredRelease, *, may_try: bool) -> tuple[StoredRelease, bool]:
    """What to load, and whether it is on trial: then its attempt is committed, for the load may end this process.

    Raises:
        UpdateError: it cannot be, and there is no other release.
    """
    if release.state not in {UpdateState.ARMED, UpdateState.TRIAL}:
        return release, False
    good = store.standing(release.terms.product).known_good
    if not may_try and good is not None:
        return good, False
    try:
        return replace(store.begin_trial(release.digest), reason=release.reason), True
    except UpdateError:  # a full or failing disk: what cannot be counted is not tried
        if good is None:
            raise
        return good, False


@dataclass(frozen=True, slots=True)
class StoreLoader:
    """A `services.model_pool.Loader`."""

    config: LineConfig
    store: UpdateStore
    maker: ModelMaker
    refuse: Callable[[Model], None] | None = None
    """Raises EdgeError for a model that may not stand where it is to stand."""
    is_beside: bool = False
    """It is to look beside the line's own model: its limits are always its release's."""

    def load(self, release: StoredRelease) -> Model:
        """See `Loader`."""
        opener = opener_of(self.config, self.store, release, self.maker.assemble)
        model = self.maker.load(opener, release.terms.product, own_limits=self.is_beside)
        if self.refuse is not None:
            self.refuse(model)
        return model

    def file_bytes(self, release: StoredRelease) -> int:
        """See `Loader`."""
        try:
            return self.store.path(release.digest).stat().st_size
        except OSError:
            return 0  # loading it says what is wrong


def trial_rules(settings: TrialSettings) -> TrialRules:
    """The settings as the rules take them."""
    from edge_runtime.decision.trial import TrialRules  # noqa: PLC0415  (likewise)

    return TrialRules(
        parts=settings.parts,
        dwell_ns=round(settings.dwell_s * 1e9),
        fault_rate=settings.fault_rate,
        late_rate=settings.late_rate,
        reject_rate=(settings.reject_rate_min, settings.reject_rate_max),
    )


def activation_stage(line: Common, maker: ModelMaker, vitals: Vitals) -> ActivationStage | None:
    """With those of the models beside the line's own. None for a line that runs a file."""
    store, config = line.devices.store, line.config
    if store is None:
        return None
    from edge_runtime.app.member_releases import refusal  # noqa: PLC0415  (likewise)
    from edge_runtime.services.activation_order import one_at_a_time  # noqa: PLC0415  (likewise)

    def make(place: int) -> ActivationStage:
        return _stage(line, StoreLoader(config, store, maker, refusal(line, place), place > 0), vitals, place)

    stages = [make(place) for place in range(1 + len(line.models.beside))]
    one_at_a_time(stages)
    return stages[0]


def _stage(line: Common, loader: StoreLoader, vitals: Vitals, place: int) -> ActivationStage:
    from edge_runtime.app.member_releases import recorder  # noqa: PLC0415  (likewise)
    from edge_runtime.services.activation import ActivationStage  # noqa: PLC0415  (likewise)
    from edge_runtime.services.line_view import LineView  # noqa: PLC0415  (likewise)
    from edge_runtime.services.model_pool import Budget, ModelPool  # noqa: PLC0415  (likewise)

    config, models = line.config, line.models
    limit_mb, reserve_mb = config.trial.memory_budget_mb, config.ops.memory_reserve_mb
    budget = Budget(
        None if limit_mb is None else limit_mb * MEGABYTE, None if reserve_mb is None else reserve_mb * MEGABYTE
    )
    pool = ModelPool(loader, budget, SystemMemory(), line.clock)
    seat = models.own if place == 0 else models.beside[place - 1]

    def hangs() -> bool:
        return vitals.hangs("inspect") and models.looking in {"", seat.current.digest}

    view = LineView(seat, line.monitor, hangs, line.events, line.clock, place, recorder(line, place))
    products = () if config.products is None or place else sorted(set(config.products.codes.values()))
    return ActivationStage(loader.store, pool, view, trial_rules(config.trial), products)
