"""Signed releases on this device: its store, what it takes, and how a release proves itself and is opened."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from edge_runtime import __released__, engine
from edge_runtime.app.inspection import require_fit
from edge_runtime.app.selftest_process import ProofLimits, run_proof
from edge_runtime.app.stored import COMPILED, with_cache
from edge_runtime.bundles.install import DeviceTerms, Installer, Proof
from edge_runtime.bundles.store_open import open_store
from edge_runtime.bundles.store_receipts import ReceiptStore
from edge_runtime.bundles.store_schema import give_to_owner, told
from edge_runtime.bundles.trust_folder import read_trust
from edge_runtime.domain.errors import LocalTrustError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.bundles.store import ReleaseStore
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.update import UpdateState
    from edge_runtime.ops.clock import Clock

MEGABYTE: Final = 1_000_000


def open_updates(config: LineConfig, clock: Clock) -> ReleaseStore | ReceiptStore:
    """The device's store of releases, made if there is none; without its database it only reads.

    Raises:
        UpdateError: its folder cannot be used.
    """
    state_dir = config.device.state_dir
    with told(state_dir, "make"):
        state_dir.mkdir(parents=True, exist_ok=True)
    return open_store(state_dir / "updates", clock, config.updates.keep_versions)


def writable(store: ReleaseStore | ReceiptStore) -> ReleaseStore:
    """The store, if releases can be installed into it.

    Raises:
        UpdateError: its database is lost.
    """
    if isinstance(store, ReceiptStore):
        raise store.refusal()
    return store


def hardware_of(config: LineConfig) -> str:
    """What releases call this kind of device."""
    return config.device.hardware or platform.machine()


def make_installer(
    config: LineConfig,
    store: ReleaseStore,
    clock: Clock,
    reached: Callable[[UpdateState, str], None] = lambda _state, _text: None,
) -> Installer:
    """What takes releases into this device's store.

    Args:
        config: of its line.
        store: where to.
        clock: of the device.
        reached: see `Installer`.
    """
    updates = config.updates
    device = DeviceTerms(
        hardware=hardware_of(config),
        floor_s=int(datetime.fromisoformat(f"{__released__}T00:00:00+00:00").timestamp()),
        reserve_bytes=updates.disk_reserve_mb * MEGABYTE,
        arm=updates.after_install == "trial",
    )
    limits = ProofLimits(updates.selftest_timeout_s, updates.selftest_memory_mb)
    return Installer(store, device, DeviceProver(config.engine, limits), clock, reached)


@dataclass(frozen=True, slots=True)
class TrustView:
    """What this device trusts, for a technician."""

    newest_s: int
    """When the newest trusted metadata was signed, seconds since 1970; 0: none was seen yet."""
    expires_s: float
    """From then on no release is accepted that the station has not signed afresh; what is installed goes on."""
    flaw: str = ""
    """Why nothing is accepted at all."""


def trust_view(store: ReleaseStore | ReceiptStore) -> TrustView | None:
    """The age of the trusted metadata; None where this device was never given a root key.

    Raises:
        UpdateError: the database cannot be read.
    """
    if isinstance(store, ReceiptStore):
        return TrustView(0, 0, store.refusal().what)
    generation = store.intake.trust_generation()
    if generation < 0:
        return None
    try:
        trust = read_trust(store.files.trust(generation))
    except LocalTrustError as error:
        return TrustView(0, 0, error.what)
    signed = [json.loads(content)["signed"] for content in trust.files.values()]
    ends = [datetime.fromisoformat(one["expires"]).timestamp() for one in signed]
    return TrustView(trust.newest_s, min(ends))


@dataclass(frozen=True, slots=True)
class DeviceProver:
    """A `Prover` with this device's engine settings."""

    engine: EngineSettings
    limits: ProofLimits

    def require_fit(self, manifest: ModelBundle) -> None:
        """See `Prover`."""
        require_fit(manifest, engine.create(self.engine))

    def prove(self, bundle: Path, digest: str) -> Proof:
        """See `Prover`. What the engine compiles on the way is kept for the line."""
        folder = bundle.with_name(COMPILED)
        with told(folder, "make"):
            folder.mkdir(exist_ok=True)
            give_to_owner(folder)
        return run_proof(bundle, digest, with_cache(self.engine, bundle), self.limits)
