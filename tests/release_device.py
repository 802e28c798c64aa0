"""A device whose store holds signed releases of a shipped bundle, put there without a stick and without a self-test."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from line_process import DEMO_BUNDLE
from station_parts import NOW_S, Bench, make_bench

from edge_convert.release.export import export
from edge_convert.release.releasing import release
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.store import ReleaseStore
from edge_runtime.bundles.store_open import open_store
from edge_runtime.bundles.writer import BundleDraft, write_bundle
from edge_runtime.domain.update import StoredRelease, UpdateState
from edge_runtime.domain.verdict import Limits
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.app.daemon import Daemon
    from edge_runtime.domain.model_bundle import ModelBundle

FAST_BUNDLE = DEMO_BUNDLE.with_name("demo_fast.bundle")
STORE = "updates"
WAIT_S = 60.0


@dataclass
class ReleaseDevice:
    """The store below `state_dir`, and the station that signs for it."""

    folder: Path
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        """Make both."""
        (self.folder / "bench").mkdir(parents=True)
        self.bench = make_bench(self.folder / "bench", targets="1/1")
        self.state_dir.mkdir()
        self.store().close()

    @property
    def state_dir(self) -> Path:
        """As `device.state_dir`."""
        return self.folder / "state"

    def store(self) -> ReleaseStore:
        """The store, opened as another process would."""
        store = open_store(self.state_dir / STORE, SystemClock())
        assert isinstance(store, ReleaseStore), "its database is lost"
        return store

    def add(
        self,
        version: str,
        bundle: Path = FAST_BUNDLE,
        *,
        product: str = "part",
        arm: bool = True,
        change: Callable[[ModelBundle], ModelBundle] = lambda content: content,
    ) -> StoredRelease:
        """Sign a version of a bundle and put it into the store, to be taken up by the line or to wait."""
        source = self.bench.folder / "changed.bundle"
        with open_bundle(bundle, trust="development") as opened:
            content = change(opened.manifest)
            draft_of(content, version, opened, source)
        with open_bundle(source, trust="development") as opened:
            signed = release(self.bench.station, opened, product=product)
        store = self.store()
        place = store.files.bundle(signed.digest)
        place.parent.mkdir(parents=True)
        export(self.bench.station, product, self.bench.folder / "out.bundle")
        shutil.copyfile(self.bench.folder / "out.bundle", place)
        new = StoredRelease(signed.digest, signed.terms, signed.name, version, 0, UpdateState.ARMED, 0, NOW_S * 10**9)
        entered = store.intake.commit_release(new, 0, "a test", arm=arm)
        store.close()
        return entered

    def confirmed(self, version: str, bundle: Path = FAST_BUNDLE, *, product: str = "part") -> StoredRelease:
        """A version that has been through its trial."""
        added = self.add(version, bundle, product=product)
        store = self.store()
        store.begin_trial(added.digest)
        done = store.confirm(added.digest)
        store.close()
        return done

    def state_of(self, release: StoredRelease) -> UpdateState:
        """As another process sees it."""
        store = self.store()
        try:
            return store.find(release.digest).state
        finally:
            store.close()

    def verdicts(self) -> list[dict[str, Any]]:
        """What the ledger holds, oldest first."""
        return self._records("inspection")

    def events(self) -> list[dict[str, Any]]:
        """Likewise, what happened."""
        return self._records("event")

    def _records(self, channel: str) -> list[dict[str, Any]]:
        query = "SELECT payload FROM records WHERE channel = ? ORDER BY sequence"
        with sqlite3.connect(self.state_dir / "ledger.sqlite") as ledger:
            return [json.loads(row[0]) for row in ledger.execute(query, (channel,)).fetchall()]


def run_until(daemon: Daemon, condition: Callable[[], bool]) -> None:
    """Run the daemon until it is so; the test fails if it never is."""
    reached: list[bool] = []
    timer = threading.Timer(WAIT_S, daemon.request_stop)
    timer.start()

    def look() -> None:
        if condition():
            reached.append(True)
            daemon.request_stop()

    daemon.run(look)
    timer.cancel()
    assert reached, "it did not come to that"


def draft_of(content: ModelBundle, version: str, opened, out: Path) -> None:
    """Write the bundle once more, with another version."""
    names = set(BundleDraft.__dataclass_fields__)
    fields = {name: getattr(content, name) for name in names if hasattr(content, name)}
    fields |= {"name": content.identity.name, "version": version}
    write_bundle(out, BundleDraft(**fields), {name: opened.payloads.read(name) for name in content.payloads})


def looser(content: ModelBundle) -> ModelBundle:
    """The same model with slightly higher limits: its golden images keep their dispositions."""
    limits = content.calibration.limits
    nudged = Limits(limits.review + 0.001, limits.reject + 0.002)
    return replace(content, calibration=replace(content.calibration, limits=nudged))
