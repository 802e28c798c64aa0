"""The releases of a plant's daemon: signed here, brought in by the technician's own commands while the line runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from line_process import DEMO_BUNDLE
from release_books import FIRST, SECOND, ReleaseFacts
from release_device import draft_of
from station_parts import Bench, make_bench
from update_rig import RigProver

from edge_convert.release.export import export
from edge_convert.release.releasing import release
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.install import DeviceTerms, Installer
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.store import ReleaseStore
from edge_runtime.bundles.store_open import open_store
from edge_runtime.domain.errors import EdgeError
from edge_runtime.domain.verdict import Limits
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.domain.model_bundle import ModelBundle

PRODUCT = "part"
NUDGE = 1e-4
"""So much do the limits of one version differ from those of the one before: nothing, to a part."""
GIVEN_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A release as the station gave it out."""

    path: Path
    digest: str
    reject: float


class PlantReleases:
    """The store in the daemon's state folder, and who brings releases into it."""

    def __init__(self, work: Path, state_dir: Path, config: Path, kinds: Sequence[str]) -> None:
        """Two releases are confirmed already; one more of each of these kinds is signed, in their order."""
        (work / "station").mkdir(parents=True)
        self._config, self._log = config, work / "install.log"
        self.facts = ReleaseFacts()
        bench = make_bench(work / "station", targets="1/1", now_s=int(time.time()))
        self._signed = [self._sign(bench, n, kind) for n, kind in enumerate((FIRST, SECOND, *kinds), 1)]
        store = open_store(state_dir / "updates", SystemClock())
        assert isinstance(store, ReleaseStore)
        self._store = store
        self._installer = Installer(store, DeviceTerms("plant", 0, 0, arm=True), RigProver(), SystemClock())
        self._installer.provision(bench.root)
        for kind in (FIRST, SECOND):
            digest = self._install_here(kind)
            store.begin_trial(digest)
            store.confirm(digest)
        self._commands: list[subprocess.Popen[bytes]] = []
        self._is_closed = False

    def begin(self, kind: str) -> Callable[[], None] | None:
        """A release comes, while the line runs; what is done about it later."""
        if kind == "damaged":
            with contextlib.suppress(OSError, EdgeError):  # a full disk: then it is not there
                _flip(self._store.path(self._install_here(kind)))
            return None
        signed = self._next(kind)
        command = self._command("install", str(signed.path))
        match kind:
            case "taken_back":
                return lambda: self._take_back(command)
            case "install_killed":
                return command.kill
        return None

    def is_settled(self) -> bool:
        """Nothing is being brought in, and nothing waits for the line."""
        self.facts.unsettled = (
            any(command.poll() is None for command in self._commands) or self._store.standing(PRODUCT).armed is not None
        )
        return not self.facts.unsettled

    def close(self) -> ReleaseFacts:
        """The daemon has ended: what would the next start begin with? Idempotent."""
        if self._is_closed:
            return self.facts
        self._is_closed = True
        for command in self._commands:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(GIVEN_UP_S)
            command.kill()
            command.wait()
        self.facts.look(self._store, PRODUCT)
        self._store.close()
        return self.facts

    def _take_back(self, installation: subprocess.Popen[bytes]) -> None:
        """By hand, as soon as it may be: a release that is not there yet cannot be taken back."""
        if installation.poll() == 0:
            self._command("rollback", "--why", "the old one was better")

    def _command(self, *arguments: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "edge_runtime", "bundle", *arguments, "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._commands.append(subprocess.Popen(words, stdout=log, stderr=log, env=dict(os.environ)))
        return self._commands[-1]

    def _install_here(self, kind: str) -> str:
        with open_release_file(self._next(kind).path) as source:
            return self._installer.install(source, "a test").digest

    def _next(self, kind: str) -> Signed:
        signed = self._signed.pop(0)
        self.facts.kinds[signed.digest], self.facts.reject_limits[signed.digest] = kind, signed.reject
        return signed

    def _sign(self, bench: Bench, number: int, kind: str) -> Signed:
        unsigned, path = bench.folder / "unsigned.bundle", bench.folder / f"{number}.bundle"
        with open_bundle(DEMO_BUNDLE, trust="development") as opened:
            content = _nudged(opened.manifest, number)
            draft_of(_wrong(content) if kind == "refused" else content, f"{number}.0", opened, unsigned)
        with open_bundle(unsigned, trust="development") as opened:
            signed = release(bench.station, opened, product=PRODUCT)
        export(bench.station, PRODUCT, path)
        return Signed(path, signed.digest, content.calibration.limits.reject)


def _nudged(content: ModelBundle, number: int) -> ModelBundle:
    limits = content.calibration.limits
    nudged = Limits(limits.review + NUDGE * number, limits.reject + NUDGE * number)
    return replace(content, calibration=replace(content.calibration, limits=nudged))


def _wrong(content: ModelBundle) -> ModelBundle:
    """It cannot give the scores that it says it gave."""
    golden = tuple(replace(image, expected_score=image.expected_score + 50.0) for image in content.golden)
    return replace(content, golden=golden)


def _flip(path: Path) -> None:
    """One bit in the middle: a model's."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
