"""A device with a store of releases, and sticks of a small release station for it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundle_parts import PAYLOADS, make_draft
from station_parts import NOW_S, make_bench

from edge_runtime.bundles.install import DeviceTerms, Installer, Proof
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.store_open import check_release, open_store
from edge_runtime.bundles.trust_folder import read_trust
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from station_parts import Bench

    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.bundles.store import ReleaseStore
    from edge_runtime.bundles.store_receipts import ReceiptStore
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.update import StoredRelease, UpdateState

PRODUCT = "part"
_MEMORY = Path("/dev/shm")  # noqa: S108  (thousands of small files)


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where there is such a place."""
    with tempfile.TemporaryDirectory(prefix="edge-updates-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def make_sticks(folder: Path, count: int, payload_bytes: int = 0) -> list[Path]:
    """`stick-1.bundle` … in `folder`, one release after the other of one station; its root is `root.json`."""
    bench = make_bench(folder)
    (folder / "root.json").write_bytes(bench.root)
    return [stick(bench, f"{number}.0", f"stick-{number}.bundle", payload_bytes) for number in range(1, count + 1)]


def stick(bench: Bench, version: str, name: str, payload_bytes: int = 0, **terms: object) -> Path:
    """One more release of the bench's station, as a file."""
    payloads = {**PAYLOADS, "search.onnx": version.encode() * max(1, payload_bytes // len(version))}
    bench.release(PRODUCT, draft=make_draft(version=version), payloads=payloads, **terms)  # type: ignore[arg-type]
    return bench.export(PRODUCT, name)


@dataclass
class RigProver:
    """Says what it is told to about a release, after `during` was called."""

    proof: Proof = field(default_factory=lambda: Proof(passed=True, summary="as it was told"))
    refuses: Exception | None = None
    """What `require_fit` raises."""
    during: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)

    def require_fit(self, manifest: ModelBundle) -> None:
        """See `Prover`."""
        if self.refuses is not None:
            raise self.refuses

    def prove(self, bundle: Path, digest: str) -> Proof:
        """See `Prover`."""
        check_release(bundle, digest)
        self.asked.append(digest)
        self.during()
        return self.proof


class Device:
    """One device; `store` and `installer` are opened anew by `start`, as after a power cut."""

    def __init__(self, folder: Path, keep_versions: int = 5, reserve_bytes: int = 0, hardware: str = "rig") -> None:
        self.folder = folder
        self.keep_versions = keep_versions
        self.clock = SimulatedClock(start_wall_ns=NOW_S * 10**9)
        self.prover = RigProver()
        self.terms = DeviceTerms(hardware, 0, reserve_bytes, arm=True)
        self.reached: list[UpdateState] = []
        self.on_state: Callable[[UpdateState], None] = lambda _state: None
        self.store = self.start()

    def start(self) -> ReleaseStore:
        """Open the store, which must be whole."""
        store = self.open()
        assert not hasattr(store, "refusal"), f"the database counts as lost: {store.history(1)}"
        self.store = store  # type: ignore[assignment]
        return self.store

    def open(self) -> ReleaseStore | ReceiptStore:
        """Open whatever is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return open_store(self.folder / "updates", self.clock, self.keep_versions)

    @property
    def installer(self) -> Installer:
        """What takes releases in."""
        return Installer(self.store, self.terms, self.prover, self.clock, self._reached)

    def install(self, source: Path | ReleaseSource, *, again: bool = False) -> StoredRelease:
        """From a file, or from any source."""
        if not hasattr(source, "open"):
            return self.installer.install(source, "test", again=again)  # type: ignore[arg-type]
        with open_release_file(source) as opened:  # type: ignore[arg-type]
            return self.installer.install(opened, "test", again=again)

    def take(self, source: Path | ReleaseSource) -> StoredRelease:
        """Install, try and confirm."""
        digest = self.install(source).digest
        self.store.begin_trial(digest)
        return self.store.confirm(digest)

    def provision(self, root: Path) -> Device:
        """Give it its root key."""
        self.installer.provision(root.read_bytes())
        return self

    def trusted_versions(self) -> tuple[int, int]:
        """Generation, and version of the newest timestamp that was seen; both only ever grow."""
        generation = self.store.intake.trust_generation()
        files = read_trust(self.store.files.trust(generation)).files
        if "timestamp.json" not in files:
            return generation, 0
        return generation, json.loads(files["timestamp.json"])["signed"]["version"]

    def rubbish(self) -> Sequence[str]:
        """What lies in the store's folder and belongs to nothing that was committed."""
        files = self.store.files
        known = {f"store/{release.digest}" for release in self.store.releases() if release.stored}
        known |= {f"trust/{self.store.intake.trust_generation()}"}
        there = {
            f"{folder}/{entry.name}"
            for folder in ("staging", "store", "trust")
            for entry in (files.root / folder).iterdir()
        }
        return sorted(there - known)

    def _reached(self, state: UpdateState, _text: str) -> None:
        self.reached.append(state)
        self.on_state(state)

    def close(self) -> None:
        """Leave it as it is."""
        self.store.close()


PAYLOAD_BYTES = 300_000
"""Of each release of `make_plant`."""


def make_plant(folder: Path) -> Path:
    """A station with three releases on sticks, and in `device` a device that runs the second one."""
    sticks = make_sticks(folder, 3, PAYLOAD_BYTES)
    device = Device(folder / "device").provision(folder / "root.json")
    for path in sticks[:2]:
        device.take(path)
    device.close()
    return folder
