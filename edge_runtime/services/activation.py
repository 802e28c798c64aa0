"""The activation stage: has the right release of the right product decide, tries new ones, and takes them back.

It stands beside the deadline path. What is to run is the store's word (`decision.activation`), and what becomes of a
trial is `decision.trial`'s; here both are carried out: loaded in a thread of its own, proposed to the inspect stage,
watched, confirmed or rolled back. Whatever a power cut must not undo is committed by the store before it shows; only a
rollback is the other way round: the line first, then the books.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from edge_runtime.decision import activation as rules
from edge_runtime.decision.activation import Rank
from edge_runtime.decision.trial import Confirmed, Failure, RolledBack, TrialRules
from edge_runtime.decision.update_rules import MAX_ATTEMPTS
from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import UpdateState
from edge_runtime.services.activation_order import without_what_waits
from edge_runtime.services.activation_records import ActivationRecords
from edge_runtime.services.decider import Decider
from edge_runtime.services.model_loads import ModelLoads
from edge_runtime.services.trial import Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.domain.update import ProductStanding, StoredRelease
    from edge_runtime.services.line_view import LineView
    from edge_runtime.services.model_pool import Arrival, ModelPool
    from edge_runtime.services.model_swap import Model

_log = logging.getLogger(__name__)
LOOK_NS: Final = 50_000_000
"""So often the store, the trial and what is being loaded are looked at."""


class ActivationStage:
    """See the module's docstring. `switch_to` and the plain attributes may be used by any thread."""

    name = "activation"

    def __init__(
        self, store: UpdateStore, pool: ModelPool, line: LineView, trial_rules: TrialRules, products: Sequence[str]
    ) -> None:
        """Nothing happens before the first step.

        Args:
            store: what this device knows of its releases.
            pool: what is loaded; the model that decides is put into it here.
            line: whose model this is about.
            trial_rules: what a release on trial has to keep to.
            products: all that the line may have to inspect; their last-known-good releases stay loaded if memory
                allows.
        """
        self._store = store
        self._pool = pool
        self._hangs = line.hangs
        self._clock = line.clock
        self._records = ActivationRecords(line.events, line.clock, line.beside)
        self._products = tuple(products)
        self.decider = Decider(line.seat, self._records, line.clock)
        self.product = line.seat.current.product
        """What the line is to inspect; empty where nobody can say."""
        self._asked_for = self.product, ""
        self.code_source: Callable[[], None] | None = None
        """Asked at every look: has the next part's product code changed?"""
        self._others: dict[str, StoredRelease] = {}
        self._seen = -1
        self._due = True
        self._wake = threading.Event()
        self._loads = ModelLoads(pool, self._records, line.clock)
        self.trials = Trials(store, line.monitor, trial_rules, line.place)
        self.standing: ProductStanding | None = None
        """Of the product that is inspected, as of the last look."""
        self.failing: str | None = None
        """Why the store cannot be asked; None while all is well."""
        self.waits_for: Callable[[], str] = str
        """Why nothing may go on trial here now; empty where it may."""
        self.beside: tuple[ActivationStage, ...] = ()
        """Of the models beside the line's own; looked at by its thread."""
        pool.keep(line.seat.current, Rank.RUNNING)

    @property
    def all(self) -> tuple[ActivationStage, ...]:
        """This one, and those beside it."""
        return (self, *self.beside)

    @property
    def is_trying(self) -> bool:
        """Whether a release is on trial here, or being loaded."""
        return self.trials.current is not None or self._pool.loading is not None

    @property
    def is_standby_loaded(self) -> bool:
        """Whether a rollback would need no loading. Readable from any thread."""
        good = None if self.standing is None else self.standing.known_good
        return good is not None and self._pool.get(good.digest) is not None

    def switch_to(self, product: str, why_none: str = "") -> None:
        """The next parts are of this product. Returns at once; callable from any thread.

        Args:
            product: empty: no model may decide.
            why_none: then, why.
        """
        self._asked_for = product, why_none
        self._wake.set()

    def step(self) -> None:
        """Look at everything once, after a pause."""
        self._clock.wait(self._wake, LOOK_NS)
        self._wake.clear()
        for stage in self.all:
            stage.look()

    def look(self) -> None:
        """Look at everything once. Never waits for a model."""
        try:
            self._look()
        except UpdateError as error:
            if self.failing is None:
                self._records.tell("updates_unavailable", "error", error.diagnostics())
            self.failing = error.what
            self._due = True  # what was not carried out is planned again
        else:
            self.failing = None

    def finish(self) -> None:
        """Stopped on purpose: a trial goes on at the next start, and this was no crash."""
        for product in {*(stage.product for stage in self.all), *self._products} - {""}:
            try:
                if (trial := self._store.standing(product).trial) is not None:
                    self._store.pause_trial(trial.digest)
            except UpdateError as error:
                _log.warning("a trial of %s counts as interrupted: %s", product, error.diagnostics())

    def _look(self) -> None:
        self.decider.settle()
        troubles = [self._tried(self._supervise), self._tried(self._settle_failures)]
        if (arrival := self._pool.arrived()) is not None:
            self._arrived(arrival)
        if self.code_source is not None:
            self.code_source()
        product, why_none = self._asked_for
        if product != self.product:
            self.product, self._due = product, True
        if not product:
            self._suspend(why_none)
            return
        generation = self._store.generation()
        if generation != self._seen or self._due:
            self._seen, self._due = generation, False
            self._plan()
        self._pool.rank(self._rank)
        if not self._due:
            good = None if self.standing is None else self.standing.known_good
            self._loads.ahead((*([] if good is None else [good]), *self._others.values()), self._rank)
        for trouble in troubles:  # it has kept nobody from changing over to what the books say
            if trouble is not None:
                raise trouble

    def _tried(self, act: Callable[[], None]) -> UpdateError | None:
        try:
            act()
        except UpdateError as error:
            return error
        return None

    def _settle_failures(self) -> None:
        self._due |= self.trials.settle()

    def _plan(self) -> None:
        """What should decide?"""
        booked = self.standing = self._store.standing(self.product)
        others = {name: self._store.standing(name).known_good for name in self._products if name != self.product}
        self._others = {release.digest: release for release in others.values() if release is not None}
        self.trials.keep(self.product, "" if booked.trial is None else booked.trial.digest)
        standing = without_what_waits(booked, self.waits_for(), self._records)
        if standing is not booked:
            self._due = True
            self.trials.interrupt()
        running, of_product = self.decider.running, self.decider.product
        due = standing.armed or standing.trial
        match rules.next_step(standing, running, of_product, self.product):
            case rules.Try(release) if not self.trials.has_failed(release.digest):
                self._bring(release, on_trial=True)
            case rules.Change(release) if due is not None and self._loads.is_blocked(release):
                self._bring(due, on_trial=True)  # the good one does not load: a new one may
            case rules.Change(release):
                if not rules.may_go_on(booked, running, of_product, self.product):
                    self._suspend_until_loaded(release)
                self._bring(release, on_trial=False)
            case rules.Watch(release):
                self._on_trial_now(release, self.decider.model)
            case rules.Suspend(why):
                self._suspend(why)
            case _:
                self.trials.rest()

    def _bring(self, release: StoredRelease, *, on_trial: bool) -> None:
        model = self._pool.get(release.digest)
        if model is None:
            if self.decider.product != self.product:
                self._suspend_until_loaded(release)
            self._begin(release, on_trial=on_trial)
            return
        if not on_trial:
            self.trials.rest()
        elif release.state is not UpdateState.ARMED or self._begun(release):
            self._on_trial_now(release, model)
        else:
            return
        self._due |= self.decider.propose(model, release)  # another may be waiting behind it

    def _suspend_until_loaded(self, release: StoredRelease) -> None:
        if self.decider.suspended_for is None and self._pool.get(release.digest) is None:
            self._suspend(f"{release.name} {release.version} of product {self.product} is being loaded")

    def _begin(self, release: StoredRelease, *, on_trial: bool) -> None:
        if self._pool.loading is not None:
            return  # its arrival is the occasion for another look
        self._pool.rank(self._rank)  # what was suspended a moment ago may go
        if self._loads.is_blocked(release) or not self._loads.has_room(release):
            self._due = True
        elif not on_trial or self._begun(release):
            self._pool.begin(release)

    def _begun(self, release: StoredRelease) -> bool:
        """The attempt is committed before anything of it runs; false where there is none left."""
        if release.attempts >= MAX_ATTEMPTS:
            self._fail(release, RolledBack(Failure.CRASH_LOOP, f"loaded {release.attempts} times, never confirmed"))
            return False
        self._records.remember(release)
        self._store.begin_trial(release.digest)
        return True

    def _arrived(self, arrival: Arrival) -> None:
        self._due = True
        release = arrival.release
        if arrival.model is not None:
            self._pool.keep(arrival.model, Rank.EARLIER)
            return
        standing = self._store.standing(release.terms.product)
        due = standing.armed or standing.trial
        if due is not None and due.digest == release.digest:
            self._fail(release, RolledBack(Failure.GOLDEN, arrival.why_not))
        else:
            self._loads.failed(release, arrival.why_not)
            self._store.sound_known_good(release.terms.product)  # is it the file? Then the one before it may do

    def _on_trial_now(self, release: StoredRelease, model: Model) -> None:
        if self.trials.begin(release, model.recipe):
            text = f"{release.name} {release.version} decides on trial"
            self._records.tell("trial_started", "info", text, release)

    def _supervise(self) -> None:
        trial = self.trials.current
        if trial is None or not self.decider.decides_now(trial.release.digest):
            return
        trial.runs(self._clock.monotonic_ns())
        has_good = self.standing is None or self.standing.known_good is not None
        outcome = trial.outcome(hangs=self._hangs(), has_good=has_good)
        if isinstance(outcome, RolledBack):
            self._fail(trial.release, outcome)
        elif isinstance(outcome, Confirmed):
            self._store.confirm(trial.release.digest)
            self.trials.end(trial.release.digest)
            self._due = True
            text = f"{trial.release.name} {trial.release.version} is confirmed: {outcome.text}"
            self._records.tell("model_confirmed", "info", text, trial.release)

    def _fail(self, release: StoredRelease, why: RolledBack) -> None:
        """Out with it: first the line, at once; then the books."""
        self.trials.fail(release.digest, why)
        text = f"{release.name} {release.version} is rolled back: {why.text}"
        self._records.tell("model_rolled_back", "error", text, release, failure=str(why.failure))
        if self.decider.running == release.digest:
            standing = self.standing  # the store may be what is broken
            good = None if standing is None else standing.known_good
            model = None if good is None else self._pool.get(good.digest)
            if good is not None and model is not None and good.digest != release.digest:
                self.decider.propose(model, good)
            else:
                self._suspend(f"{text}; no other release is loaded")
        self._pool.drop(release.digest)
        self._due = True
        self.trials.settle()

    def _suspend(self, why: str) -> None:
        self.decider.suspend(self.product, why)
        self.trials.rest()

    def _rank(self, digest: str) -> Rank:
        good = None if self.standing is None else self.standing.known_good
        return rules.rank_of(digest, self.decider.running, "" if good is None else good.digest, self._others)
