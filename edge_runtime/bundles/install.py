"""From a stick or a repository into the store: all is proved before the one commit, and of a failure nothing stays.

lock ─▶ trust, on a copy ─▶ terms of this device ─▶ COPYING ─▶ VERIFIED ─▶ STAGED ─▶ SELFTEST ─▶ commit: ARMED
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from edge_runtime.bundles.release_blocks import release_blocks
from edge_runtime.bundles.staging import Staging
from edge_runtime.bundles.store_moves import called
from edge_runtime.bundles.store_open import check_release
from edge_runtime.bundles.store_schema import give_to_owner, told
from edge_runtime.bundles.trust import verify_release
from edge_runtime.bundles.trust_folder import provision_trust
from edge_runtime.decision.update_rules import unsuitable
from edge_runtime.domain.errors import BundleError, ConfigError, EdgeError, LocalTrustError, UpdateError
from edge_runtime.domain.update import StoredRelease, UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.bundles.store import ReleaseStore
    from edge_runtime.bundles.trust import VerifiedRelease
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)


class RefusedReleaseError(BundleError):
    """A genuine release that this device does not take: not meant for it, revoked, older, or failed here."""


class FailedProofError(RefusedReleaseError):
    """The release failed its self-test on this device and is quarantined."""


@dataclass(frozen=True, slots=True)
class DeviceTerms:
    """What this device brings to an installation."""

    hardware: str
    floor_s: int
    """The clock cannot truly stand before this: when this runtime was made."""
    reserve_bytes: int
    arm: bool
    """The line takes a new release up by itself."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of a self-test."""

    passed: bool
    summary: str


class Prover(Protocol):
    """The device's say about a release."""

    def require_fit(self, manifest: ModelBundle) -> None:
        """Before the payload is read.

        Raises:
            BundleError: it asks for a newer runtime or another engine.
            EngineError: this device has no engine.
        """

    def prove(self, bundle: Path, digest: str) -> Proof:
        """Let it inspect its golden images, with limits of time and memory.

        Raises:
            UpdateError: the self-test cannot even be started.
        """


@dataclass(frozen=True, slots=True)
class Examined:
    """A release that this device would take."""

    verified: VerifiedRelease
    known: StoredRelease | None
    """What the store knows of it: it is here already, or failed here."""


class Installer:
    """Takes releases into a store. Any thread or process may; of several at once one wins, the others are told."""

    def __init__(
        self,
        store: ReleaseStore,
        device: DeviceTerms,
        prover: Prover,
        clock: Clock,
        reached: Callable[[UpdateState, str], None] = lambda _state, _text: None,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: where to.
            device: what this device is.
            prover: lets a release prove itself.
            clock: of this device.
            reached: is told of every state that a release reaches, and in words what is done next.
        """
        self._store: Final = store
        self._files: Final = store.files
        self._device = device
        self._prover = prover
        self._clock = clock
        self._reached = reached

    def provision(self, root: bytes) -> str:
        """Make this device trust a release station, once and for all; the digest of its root.json.

        Raises:
            ConfigError: it trusts one already, or this is no root.json.
            UpdateError: the disk fails, or an installation is running.
            LocalTrustError: the disk fails.
        """
        with told(self._files.root, "write"), self._files.lock():
            if self._store.intake.trust_generation() >= 0:
                raise ConfigError(
                    "this device already trusts a release station",
                    "Nothing was changed. A new root comes with the station's releases, signed by the old one.",
                )
            self._store.sweep_locked()
            trust = provision_trust(root, self._files.trust(0))
            _give_to_owner(self._files.trust(0))
            self._store.intake.commit_trust(0, f"root {trust.root_digest}")
            return trust.root_digest

    def examine(self, source: ReleaseSource) -> Examined:
        """Verify a release and look at its terms, without taking it. Nothing is changed.

        Raises:
            EdgeError: as `install`, as far as that can be told without the payload.
        """
        with self._claimed() as generation:
            verified = self._verify(source, generation)
            known = self._store.intake.release(verified.digest)
            if known is None or not _is_here(known):
                self._require_suitable(source, verified)
            return Examined(verified, known)

    def install(self, source: ReleaseSource, who: str, *, again: bool = False) -> StoredRelease:
        """Take a release into the store, ARMED for the line or waiting in it.

        A release that is here already stays as it is; its newer metadata are taken over.

        Args:
            source: nothing of it is trusted.
            who: for the history.
            again: also a release that failed on this device before.

        Raises:
            TrustError: it is not trusted; says why.
            RefusedReleaseError: it is genuine and not taken: not for this device, older, revoked, quarantined, or it
                fails its self-test now (`FailedProofError`).
            BundleError: it cannot be read.
            UpdateBusyError: another installation is running.
            UpdateError: no root key, no room, or the disk fails.
            LocalTrustError: what this device trusts is damaged.
        """
        with self._claimed() as generation:
            try:
                return self._install(source, who, generation, again=again)
            except EdgeError as error:
                _log.info("%s was not installed: %s", source.where, error.what)
                with contextlib.suppress(UpdateError):
                    self._store.note("refused", f"{source.where}: {error.what}")
                raise

    def _install(self, source: ReleaseSource, who: str, generation: int, *, again: bool) -> StoredRelease:
        verified = self._verify(source, generation)
        known = self._store.intake.release(verified.digest)
        if known is not None and _is_here(known):
            self._store.intake.commit_trust(verified.trust_generation, f"{called(known)} was offered again")
            return known
        if known is not None and not again:
            raise RefusedReleaseError(
                f"{called(known)} failed on this device before: {known.reason}",
                "Have a new release made. If the cause was another one, and is gone: --again.",
            )
        self._require_suitable(source, verified)
        if known is not None and known.stored:
            self._store.intake.drop_file(known)
            self._files.remove(known.digest)
        self._stage(source, verified)
        new = _entry(verified, self._clock.wall_ns())
        self._prove(new)
        entered = self._store.intake.commit_release(new, verified.trust_generation, who, arm=self._device.arm)
        self._reached(entered.state, f"{called(entered)}: committed")
        return entered

    def _verify(self, source: ReleaseSource, generation: int) -> VerifiedRelease:
        self._reached(UpdateState.IDLE, f"checking the signatures of {source.where}")
        verified = verify_release(
            source,
            self._files.trust(generation),
            self._files.trust(generation + 1),
            now_s=self._clock.wall_ns() / 1e9,
            floor_s=self._device.floor_s,
        )
        if verified.trust_generation != generation + 1:
            raise LocalTrustError(
                f"the trusted metadata in {self._files.trust(generation)} are of generation "
                f"{verified.trust_generation - 1}, and {generation} was committed",
                "Somebody has exchanged them: find out who. This device accepts no release until they are restored.",
            )
        _give_to_owner(self._files.trust(generation + 1))
        return verified

    def _require_suitable(self, source: ReleaseSource, verified: VerifiedRelease) -> None:
        book = self._store.intake.book(verified.terms.product)
        why = unsuitable(verified.terms, self._device.hardware, book.min_counter, book.newest_counter)
        if why is not None:
            identity = verified.manifest.identity
            raise RefusedReleaseError(
                f"{source.where} ({identity.name} {identity.version}) is not taken: {why}",
                "Use a release that was made for this device, and is newer than what it has.",
            )
        self._prover.require_fit(verified.manifest)

    def _stage(self, source: ReleaseSource, verified: VerifiedRelease) -> None:
        length = verified.expected_length_bytes
        staging = Staging(self._files, verified.digest, length, self._device.reserve_bytes)
        staging.require_room()
        self._reached(UpdateState.COPYING, f"copying {length / 1e6:.1f} MB")
        staging.fill(release_blocks(verified, source))
        check_release(staging.path, verified.digest)  # our copy, as it reads back: not what the stick said meanwhile
        self._reached(UpdateState.VERIFIED, "the copy is what was signed")
        staging.place()
        self._reached(UpdateState.STAGED, "in the store")

    def _prove(self, new: StoredRelease) -> None:
        self._reached(UpdateState.SELFTEST, "inspecting its golden images on this device")
        proof = self._prover.prove(self._files.bundle(new.digest), new.digest)
        if not proof.passed:
            self._store.intake.commit_quarantine(new, f"self-test: {proof.summary}")
            raise FailedProofError(
                f"{called(new)} failed its self-test on this device: {proof.summary}",
                "The running model stays. Tell whoever made the release; this one is not taken again.",
            )
        _log.info("%s: %s", called(new), proof.summary)

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[int]:
        """The lock, and the committed generation of trust; afterwards nothing is left of what was not committed."""
        with told(self._files.root, "write"), self._files.lock():
            generation = self._store.intake.trust_generation()
            if generation < 0:
                raise UpdateError(
                    "this device trusts no release station yet",
                    "Give it the station's root key: `edge-runtime bundle trust ROOT.json`.",
                )
            self._store.sweep_locked()
            try:
                yield generation
            finally:
                self._store.sweep_locked(quietly=True)


def _give_to_owner(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        give_to_owner(path)


def _is_here(known: StoredRelease) -> bool:
    return known.stored and known.state is not UpdateState.ROLLED_BACK


def _entry(verified: VerifiedRelease, now_ns: int) -> StoredRelease:
    manifest = verified.manifest
    return StoredRelease(
        digest=verified.digest,
        terms=verified.terms,
        name=manifest.identity.name,
        version=manifest.identity.version,
        revision=manifest.revision,
        state=UpdateState.SELFTEST,
        attempts=0,
        installed_ns=now_ns,
    )
