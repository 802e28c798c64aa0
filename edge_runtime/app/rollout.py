"""Wires the rollout of a line: where its candidates come from, and what it is to keep to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.app.activation import opener_of
from edge_runtime.app.inspection import load_inspector
from edge_runtime.app.recipe import limits_in_force
from edge_runtime.app.shadow import Candidate, ShadowProcess, shadow_engine
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.decision.rollout_rules import RolloutTerms, StageTerms
from edge_runtime.domain.errors import BundleError, UpdateError
from edge_runtime.domain.verdict import BundleIdentity
from edge_runtime.services.rollout import RolloutPlan, RolloutService
from edge_runtime.services.rollout_books import BooksFile
from edge_runtime.services.rollout_course import Course
from edge_runtime.services.rollout_records import RolloutRecords
from edge_runtime.services.rollout_requests import RequestFile
from edge_runtime.services.rollout_tally import Tally

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.app.models import ModelMaker
    from edge_runtime.app.stages import Common
    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.config.line import LineConfig
    from edge_runtime.services.beside import Beside
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.rollout_port import Contenders
    from edge_runtime.services.shadow import Onlooker
    from edge_runtime.services.vitals import Vitals

_log = logging.getLogger(__name__)
_MINUTE_NS = 60_000_000_000
BOOKS = "rollout.json"
REQUEST = "rollout-request.json"


def books_file(state_dir: Path) -> BooksFile:
    """What a line's rollout remembers."""
    return BooksFile(state_dir / BOOKS)


def request_file(state_dir: Path) -> RequestFile:
    """Where a line's rollout is asked."""
    return RequestFile(state_dir / REQUEST)


def rollout_terms(config: LineConfig) -> RolloutTerms:
    """The settings as the rules take them."""
    settings = config.rollout
    shadow, canary = settings.shadow, settings.canary
    return RolloutTerms(
        shadow=StageTerms(shadow.parts, round(shadow.minutes * _MINUTE_NS)),
        canary=StageTerms(canary.parts, round(canary.minutes * _MINUTE_NS)),
        share=canary.share,
        alpha=settings.significance,
        smallest_difference=settings.smallest_difference,
        stops_at_difference=settings.on_difference == "roll_back",
        most_reject_rate=settings.most_reject_rate,
        most_faults=settings.most_faults,
        least_agreement=shadow.least_agreement,
        most_distance=settings.most_distance,
        most_latency=canary.most_latency,
        deadline_ns=round(config.recipe.decision_deadline_ms * 1e6),
    )


def make_rollout(line: Common, maker: ModelMaker, beside: Beside, vitals: Vitals) -> RolloutService:
    """What compares a candidate with the model that decides, and lets it take over by its rules."""
    config, clock = line.config, line.clock
    settings = config.rollout
    store = line.devices.store
    contenders: Contenders = FileContenders(config, maker) if store is None else StoreContenders(config, maker, store)
    told = RolloutRecords(line.events, clock)
    report_ns = round(settings.report_minutes * _MINUTE_NS)
    course = Course(books_file(config.device.state_dir), rollout_terms(config), contenders, told, clock, report_ns)
    plan = RolloutPlan(
        share=settings.canary.share,
        cpu_share=settings.shadow.cpu_share,
        by_rule=settings.promote == "rule",
        is_busy=lambda: len(line.queues.inspect) > 0,
        is_short=lambda: line.shed.evidence,
        hangs=lambda: vitals.hung_stage() == "inspect",
    )
    tally = Tally(lambda limits: limits_in_force(config.recipe, limits))
    requests = request_file(config.device.state_dir)
    return RolloutService(contenders, course, beside, line.models, tally, requests, told, plan, clock)


class StoreContenders:
    """See `Contenders`: the newest release that waits in the device's store."""

    def __init__(self, config: LineConfig, maker: ModelMaker, store: UpdateStore) -> None:
        self._config = config
        self._maker = maker
        self._store = store

    def newest(self, product: str, ended: Collection[str]) -> BundleIdentity | None:
        """See `Contenders`."""
        for release in self._store.candidates(product):
            if release.digest not in ended:
                return BundleIdentity(release.name, release.version, release.digest, "production")
        return None

    def watch(self, candidate: BundleIdentity) -> Onlooker:
        """See `Contenders`."""
        return _process(self._config, self._store.path(candidate.digest), candidate.digest)

    def load(self, candidate: BundleIdentity) -> Model:
        """See `Contenders`."""
        release = self._store.find(candidate.digest)
        return self._maker.load(opener_of(self._config, self._store, release), release.terms.product)

    def activate(self, candidate: BundleIdentity, who: str, why: str) -> str:
        """See `Contenders`."""
        self._store.request_activation(candidate.digest, who, why)
        return "it goes on trial like any other release"

    def note(self, candidate: BundleIdentity, text: str) -> None:
        """See `Contenders`."""
        try:
            self._store.note("rollout", text, candidate.digest)
        except UpdateError as error:
            _log.warning("the history of releases cannot be written: %s", error.diagnostics())


class FileContenders:
    """See `Contenders`: one file, for development."""

    def __init__(self, config: LineConfig, maker: ModelMaker) -> None:
        self._config = config
        self._maker = maker
        self._known: tuple[tuple[int, int], BundleIdentity] | None = None

    @property
    def _path(self) -> Path:
        if self._config.rollout.candidate is None:
            raise AssertionError  # the configuration is refused without
        return self._config.rollout.candidate

    def newest(self, product: str, ended: Collection[str]) -> BundleIdentity | None:
        """See `Contenders`. The file is read again when it has changed."""
        del product  # a line that runs a file inspects one for ever
        try:
            found = self._path.stat()
        except OSError:
            return None
        stamp = found.st_size, found.st_mtime_ns
        if self._known is None or self._known[0] != stamp:
            with open_bundle(self._path, trust="development") as opened:
                self._known = stamp, opened.manifest.identity
        identity = self._known[1]
        return None if identity.digest in ended else identity

    def watch(self, candidate: BundleIdentity) -> Onlooker:
        """See `Contenders`."""
        del candidate  # what the process says about itself is what is compared
        return _process(self._config, self._path, None)

    def load(self, candidate: BundleIdentity) -> Model:
        """See `Contenders`."""
        model = self._maker.load(self._open)
        if model.digest != candidate.digest:
            raise BundleError(f"{self._path} holds another bundle now", "Leave the file alone while it is compared.")
        return model

    def activate(self, candidate: BundleIdentity, who: str, why: str) -> str:
        """See `Contenders`. Nothing but a person changes the configuration."""
        del who, why
        return f"to have {candidate.name} {candidate.version} decide, name {self._path} in bundle.path and restart"

    def note(self, candidate: BundleIdentity, text: str) -> None:
        """See `Contenders`. There is no history of files; the ledger has the event."""

    def _open(self) -> Inspector:
        return load_inspector(self._path, self._config.engine, "development")


def _process(config: LineConfig, path: Path, digest: str | None) -> ShadowProcess:
    shadow = config.rollout.shadow
    return ShadowProcess(Candidate(path, digest, shadow_engine(config.engine, shadow.threads), shadow.priority))
