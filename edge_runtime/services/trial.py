"""Models on trial: what their parts got, for how long they have decided, and what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.decision.trial import MODEL_FAULTS, Confirmed, RolledBack, Tally, TrialRules, decide

if TYPE_CHECKING:
    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.services.monitor import LineMonitor


class Trial:
    """A `VerdictWatcher`: `see` is called by the dispatch stage, everything else by the activation stage."""

    def __init__(self, release: StoredRelease, recipe: Recipe, rules: TrialRules, place: int = 0) -> None:
        """Nothing was seen yet.

        Args:
            place: at which its model looks, where several are combined; 0 is the line's own.
        """
        self.release = release
        self.tally = Tally()
        self._recipe = recipe
        self._rules = rules
        self._place = place
        self._ran_ns = 0
        self._since_ns: int | None = None

    def see(self, verdict: Verdict) -> None:
        """Count it, if it is this model's, or if this model has looked with others. Their faults are not its own.

        Nor is it its own that another line of this process, whose inspection took far too long, made a part late. A
        further model is to blame for the parts for whose look there was no time, and a part that it was not asked about
        counts for the reject rate, which is that of the line.
        """
        if verdict.was_held:
            return
        combined, is_own = verdict.combined, verdict.bundle.digest == self.release.digest
        looks = () if combined is None else combined.looks
        own = next((look for look in looks if look.bundle.digest == self.release.digest), None)
        if own is not None and own.score is not None and verdict.reason in MODEL_FAULTS:
            return  # another model's
        unheard = None if combined is None else combined.unheard
        if own is not None or is_own or (unheard is not None and unheard == self._place):
            self.tally = self.tally.add(verdict, self._recipe)
        elif self._place and combined is not None and len(looks) <= self._place:
            self.tally = self.tally.without_it(verdict, self._recipe)

    def runs(self, now_ns: int) -> None:
        """It decides at this moment."""
        if self._since_ns is not None:
            self._ran_ns += now_ns - self._since_ns
        self._since_ns = now_ns

    def rests(self) -> None:
        """Another product is inspected meanwhile; its time stands still."""
        self._since_ns = None

    def outcome(self, *, hangs: bool, has_good: bool) -> Confirmed | RolledBack | None:
        """See `decision.trial.decide`."""
        return decide(self.tally, self._rules, self._ran_ns, hangs=hangs, has_good=has_good)


class Trials:
    """Every trial that is not over, at most one per product, and what the store has yet to be told of failed ones."""

    def __init__(self, store: UpdateStore, monitor: LineMonitor, rules: TrialRules, place: int = 0) -> None:
        self._place = place
        self._store = store
        self._monitor = monitor
        self._rules = rules
        self._open: dict[str, Trial] = {}
        self._failed: dict[str, str] = {}
        self.current: Trial | None = None
        """Of the release that decides."""
        self.failures = 0
        """Trials that ended badly since the start."""

    def begin(self, release: StoredRelease, recipe: Recipe) -> bool:
        """It decides from now on; false if its trial only goes on."""
        is_new = release.digest not in self._open
        if is_new:
            self._open[release.digest] = Trial(release, recipe, self._rules, self._place)
            self._monitor.watch(self._open[release.digest])
        self.rest()
        self.current = self._open[release.digest]
        return is_new

    def rest(self) -> None:
        """A release that is on no trial decides."""
        if self.current is not None:
            self.current.rests()
        self.current = None

    def interrupt(self) -> None:
        """Its turn comes again later, and that it is taken off the line now is no failed attempt.

        Raises:
            UpdateError: the store refuses; nothing has changed.
        """
        if self.current is not None:
            self._store.pause_trial(self.current.release.digest)
            self.rest()

    def keep(self, product: str, digest: str) -> None:
        """Of this product only this one is on trial by the store's books: others were superseded, or rolled back."""
        for other in [trial.release for trial in self._open.values()]:
            if other.terms.product == product and other.digest != digest:
                self.end(other.digest)

    def end(self, digest: str) -> None:
        """Its trial is over."""
        trial = self._open.pop(digest, None)
        if trial is not None:
            self._monitor.unwatch(trial)
        if trial is self.current:
            self.current = None

    def fail(self, digest: str, why: RolledBack) -> None:
        """Its trial is over; the store is told by `settle`."""
        self.end(digest)
        self.failures += 1
        self._failed[digest] = f"{why.failure}: {why.text}"

    def has_failed(self, digest: str) -> bool:
        """Whether it failed and the store could not be told yet."""
        return digest in self._failed

    def settle(self) -> bool:
        """Have the store commit what failed; true if there was anything.

        Raises:
            UpdateError: it refuses; to be tried again. Meanwhile the failed release is not.
        """
        settled = bool(self._failed)
        for digest, why in list(self._failed.items()):
            self._store.roll_back(digest, why)
            del self._failed[digest]
        return settled
