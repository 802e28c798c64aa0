"""The concrete devices of one line: made from the settings, the model proved before anything else."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime import broker as brokers
from edge_runtime import camera as cameras
from edge_runtime import ledger as ledgers
from edge_runtime import plc as plcs
from edge_runtime.app.activation import releases_of, start_release
from edge_runtime.app.belt import belt_plan
from edge_runtime.app.combine import open_members
from edge_runtime.app.inspection import inspector_of
from edge_runtime.app.models import open_file, proved
from edge_runtime.broker.encoding import encoder
from edge_runtime.domain.recipe import GateMode
from edge_runtime.plc.model import SimulatedPlcModel

if TYPE_CHECKING:
    from edge_runtime.app.combine import Member
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.app.models import Opener
    from edge_runtime.app.sharing import Assemble
    from edge_runtime.broker.port import Broker
    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.camera.port import Camera
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ledger.port import Ledger
    from edge_runtime.ops.belt import BeltPlan
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.port import Plc


@dataclass(frozen=True, slots=True)
class Devices:
    """The concrete devices of a line."""

    inspector: Inspector
    camera: Camera
    plc: Plc
    ledger: Ledger
    broker: Broker | None
    simulated_plc: SimulatedPlcModel | None
    """The simulated PLC's own books: what really happened at its gate."""
    opener: Opener | None = None
    """Loads the inspector's bundle once more; None: it cannot be."""
    store: UpdateStore | None = None
    """This device's releases; None on a line that runs a file."""
    release: StoredRelease | None = None
    """The one that the inspector runs."""
    members: tuple[Member, ...] = ()
    """Further models beside the inspector's."""

    def close(self) -> None:
        """Release everything, where no line is there to do it. Idempotent."""
        self.plc.close()
        self.camera.close()
        self.ledger.close()
        self.close_model()

    def close_model(self) -> None:
        """Close what the line does not: the bundle's file and the store. Idempotent."""
        self.inspector.close()
        for member in self.members:
            member.inspector.close()
        if self.store is not None:
            self.store.close()


def open_devices(config: LineConfig, clock: Clock, assemble: Assemble = inspector_of) -> Devices:
    """Create every device; prove the model, and those beside it, on their golden images before anything else.

    Args:
        config: of the line.
        clock: for all of them.
        assemble: puts a bundle on its engine.

    Raises:
        EdgeError: what cannot work as configured, with what to do.
    """
    with contextlib.ExitStack() as undo:
        store = releases_of(config, clock)
        if store is not None:
            undo.callback(store.close)
        inspector, opener, release = _first_model(config, store, assemble)
        undo.callback(inspector.close)
        members = open_members(config, inspector, store, assemble, release)
        for member in members:
            undo.callback(member.inspector.close)
        state_dir, name = config.device.state_dir, config.device.name
        ledger = ledgers.create(config.ledger, state_dir / "ledger.sqlite", name, encoder(name))
        undo.callback(ledger.close)
        belt = belt_plan(config.simulation, clock)
        model = _simulated_plc(config, belt)
        devices = Devices(
            inspector=inspector,
            camera=cameras.create(config.camera, clock, ledger, belt),
            plc=plcs.create(config.plc, clock, belt, model=model),
            ledger=ledger,
            broker=brokers.create(config.mqtt, name, clock) if config.mqtt.enabled else None,
            simulated_plc=model,
            opener=opener,
            store=store,
            release=release,
            members=members,
        )
        undo.pop_all()
        return devices


def _first_model(
    config: LineConfig, store: UpdateStore | None, assemble: Assemble
) -> tuple[Inspector, Opener, StoredRelease | None]:
    if store is not None and config.bundle.product is not None:
        start = start_release(config, store, config.bundle.product, assemble)
        return start.inspector, start.opener, start.release

    def opener() -> Inspector:
        return open_file(config, assemble)

    return proved(opener), opener, None


def _simulated_plc(config: LineConfig, belt: BeltPlan) -> SimulatedPlcModel | None:
    if config.plc.kind != "sim":
        return None
    # Without simulated camera there are no parts on the simulated belt: the PLC then takes over whatever comes.
    mode = GateMode.FIRE if config.recipe.gate == "fire" else GateMode.PERMIT
    return SimulatedPlcModel(belt if config.camera.kind == "sim" else None, mode=mode)
