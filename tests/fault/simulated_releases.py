"""The releases of a simulated line: a real store of signed files, loads that take simulated time, and bad models.

A release comes as an installation leaves it: its file in the store, armed by one commit from outside the daemon.
"""

from __future__ import annotations

import functools
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dice import dice
from grey_bundle import MODEL, PAYLOADS, REJECT, GreyInspector, grey_draft
from release_books import FIRST, SECOND, ReleaseFacts
from station_parts import NOW_S, make_bench
from trouble import GOOD
from troubled import TroubledDetector
from troubled_store import TroubledStore

# Imported before a world takes the place of their threads and time, for the line imports some of them late.
from edge_runtime.app import activation
from edge_runtime.bundles.archive import open_release
from edge_runtime.bundles.store import ReleaseStore
from edge_runtime.bundles.store_open import open_store
from edge_runtime.detectors.generic import GenericDetector
from edge_runtime.domain.errors import EdgeError, UpdateError
from edge_runtime.domain.update import StoredRelease, UpdateState
from edge_runtime.engine.sim import SimulatedEngine
from edge_runtime.services import activation as stage
from edge_runtime.services import model_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from baton import World
    from schedule import Schedule

    from edge_runtime.config.line import LineConfig
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.line import Line

MS, S = 1_000_000, 1_000_000_000
PRODUCT = "part"
MOST = 6
"""So many are signed: two that were confirmed long ago, and one for each trouble."""
REJECTS_ALL = 250.0
RESTART_AFTER_NS = 2 * S
GIVEN_UP_NS = 300 * S
REPLACED = (stage, model_pool)
"""Modules whose threads are the world's."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A release as its file."""

    release: StoredRelease
    content: bytes
    reject: float
    """Its own limit: no two have the same."""


@functools.cache
def signed_releases() -> tuple[Signed, ...]:
    """Versions of the grey bundle, one after the other of one station."""
    found = []
    with tempfile.TemporaryDirectory(prefix="edge-station-") as folder:
        bench = make_bench(Path(folder), targets="1/1")
        for number in range(1, MOST + 1):
            reject = REJECT + number
            signed = bench.release(PRODUCT, draft=grey_draft(f"{number}.0", reject), payloads=PAYLOADS)
            release = StoredRelease(
                signed.digest, signed.terms, signed.name, f"{number}.0", 0, UpdateState.ARMED, 0, NOW_S * S
            )
            found.append(Signed(release, bench.export(PRODUCT).read_bytes(), reject))
    return tuple(found)


class ReleasedDetector:
    """A release's model. `refused`: not even its golden image gets the score that it should.

    `nonsense`, `rejecting`, `hanging`: so from the first part on. Else it is sound.
    """

    def __init__(self, inner: Detector, kind: str, hang: Callable[[], None]) -> None:
        self._inner, self._kind, self._hang = inner, kind, hang
        self._to_prove = len(inner.bundle.golden)
        self.bundle = inner.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See `Detector`."""
        if self._to_prove:
            self._to_prove -= 1
            return replace(self._inner.inspect(exposures), score=REJECTS_ALL if self._kind == "refused" else GOOD)
        found = self._inner.inspect(exposures)
        match self._kind:
            case "hanging":
                self._hang()
            case "nonsense":
                return replace(found, score=float("nan"))
            case "rejecting":
                return replace(found, score=REJECTS_ALL)
        return found


class SimulatedReleases:
    """The store below `folder`, seen by the daemon and by who installs releases."""

    def __init__(self, schedule: Schedule, folder: Path, world: World, clock: Clock, troubles: dict[str, Any]) -> None:
        self._world, self._clock, self._troubles = world, clock, troubles
        self._state_dir = folder
        self._usual_ns = round(schedule.inspect_ms * MS)
        self._drawn = dice(f"releases/{schedule.seed}")
        self._signed = {signed.release.digest: signed for signed in signed_releases()}
        self._next = iter(signed_releases())
        self._hang_ns = self._hanging = 0
        self.facts = ReleaseFacts()
        self.tables = {
            "bundle": {"product": PRODUCT, "trust": "production"},
            "trial": {"parts": 10, "dwell_s": 1.0, "memory_budget_mb": self._drawn.choice((None, 0))},
        }
        """Of the line's configuration."""

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The daemon loads its releases here; two of them are confirmed already."""
        real = activation.load_stored
        activation.load_stored = self._load  # type: ignore[assignment]
        self._office = self._open()
        for kind in (FIRST, SECOND):
            digest = self._add(kind)
            self._office.begin_trial(digest)
            self._office.confirm(digest)
        try:
            yield
        finally:
            activation.load_stored = real

    # the daemon

    def first(self, config: LineConfig) -> dict[str, Any]:
        """What a start of the daemon needs of `Devices`; a disk that does not let it start is tried again."""
        until_ns = self._world.now_ns + GIVEN_UP_NS
        while True:
            self._store = activation.releases_of(config, self._clock)
            try:
                store: Any = TroubledStore(self._store, self._troubles["ledger"])
                start = activation.start_release(config, store, PRODUCT)
            except (EdgeError, ArithmeticError, MemoryError):  # the daemon ends with it, and is started again
                self._store.close()
                if self._world.now_ns > until_ns:
                    raise
                self._world.sleep(RESTART_AFTER_NS)
            else:
                return {
                    "inspector": start.inspector,
                    "opener": start.opener,
                    "store": store,
                    "release": start.release,
                }

    def close_daemons(self) -> None:
        """The daemon has ended."""
        self._store.close()

    def is_settled(self, line: Line) -> bool:
        """Whether the line runs what the books say, or will not get further without parts."""
        standing = self._office.standing(PRODUCT)
        due = standing.trial or standing.known_good
        if self._hanging:
            return False
        is_due = standing.armed is None and due is not None and line.models.current.digest == due.digest
        self.facts.unsettled = not is_due
        return is_due

    def close(self) -> ReleaseFacts:
        """After the run: what would the next start begin with?"""
        self.facts.look(self._office, PRODUCT)
        self._office.close()
        return self.facts

    # what happens

    def begin(self, kind: str, end_ns: int) -> None:
        """A release comes; or the one that decides rots on the disk."""
        world = self._world
        if kind == "rotten":
            self._rot()
            return
        if kind == "hanging":
            self._hang_ns = end_ns - world.now_ns
        with suppress(UpdateError):  # it is not taken into a store that refuses
            self._add(kind)
        if kind == "taken_back":
            world.call_at(end_ns, self._take_back)

    def _take_back(self) -> None:
        with suppress(UpdateError):
            self._office.request_rollback(PRODUCT, "a technician", "the old one was better")

    def _rot(self) -> None:
        good = self._office.standing(PRODUCT).known_good
        if good is not None:
            self.facts.kinds[good.digest] = "rotten"
            _flip(self._office.path(good.digest), self._drawn.random())

    def _add(self, kind: str) -> str:
        signed = next(self._next)
        digest = signed.release.digest
        self.facts.kinds[digest], self.facts.reject_limits[digest] = kind, signed.reject
        place = self._office.path(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(signed.content)
        self._office.intake.commit_release(signed.release, 0, "a test", arm=True)
        if kind == "damaged":
            _flip(place, self._drawn.random())
        return digest

    def _open(self) -> ReleaseStore:
        folder = self._state_dir / activation.STORE_FOLDER
        store = open_store(folder, self._clock)
        assert isinstance(store, ReleaseStore)
        return store

    def _load(self, path: Path, digest: str, _settings: Any, _assemble: Any = None) -> GreyInspector:
        """In the place of `app.stored.load_stored`."""
        kind, world = self.facts.kinds[digest], self._world
        with open_release(path, digest=digest) as opened:
            detector = GenericDetector(opened.manifest, opened.payloads, SimulatedEngine())
        world.sleep(self._drawn.randrange(200, 3_000) * MS)
        troubled = TroubledDetector(detector, world, self._troubles["engine"], self._usual_ns)
        return GreyInspector(ReleasedDetector(troubled, kind, self._hang))

    def _hang(self) -> None:
        self._hanging += 1
        try:
            self._world.sleep(self._hang_ns)
        finally:
            self._hanging -= 1


def _flip(path: Path, where: float) -> None:
    """One bit of its model."""
    content, model = bytearray(path.read_bytes()), PAYLOADS[MODEL]
    content[content.index(model) + int(where * len(model))] ^= 1
    path.write_bytes(content)
