"""Wires one line: its stages around its devices, joined by queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.app.audit import opening_records
from edge_runtime.app.conditions import line_conditions
from edge_runtime.app.recipe import build_recipe
from edge_runtime.app.recording import evidence_stage, publish_stage, record_stage
from edge_runtime.config.camera import Overflow
from edge_runtime.decision.part_tracker import PartTracker
from edge_runtime.domain.errors import LedgerError, PlcError
from edge_runtime.plc.port import PlcCapability
from edge_runtime.services.capture import CaptureStage
from edge_runtime.services.condition import ConfigProbe
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.events import Events
from edge_runtime.services.flow import DispatchItem, EvidenceItem, LoadShed, RecipeCell, RecordItem
from edge_runtime.services.inspect import InspectStage
from edge_runtime.services.line import Line, Stages
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.plc_link import LinkTiming, PlcLink
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.reconcile import Reconciliation, reconcile
from edge_runtime.services.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.app.devices import Devices
    from edge_runtime.config.line import LineConfig
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.ledger.port import LedgerEntry
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.port import Plc, PlcInputs

DISPATCH_CAPACITY = 256
"""The dispatch stage does no I/O; should it be held up, capture and inspection wait for it: no part is dropped here."""
COMMAND_CAPACITY = 10_000
"""How many gate commands may wait for a PLC link that hangs: 50 s at 200 parts/s, long after their parts are gone."""
RECORD_CAPACITY = 20_000
"""How many verdicts may wait for a disk that refuses: 100 s at 200 parts/s."""
EVIDENCE_CAPACITY = 16
FOLDER_QUEUE = 2
"""A waiting source needs no buffer: parts queued here would only grow old."""


@dataclass(frozen=True, slots=True)
class _Queues:
    inspect: BoundedQueue[Part]
    dispatch: BoundedQueue[DispatchItem]
    commands: BoundedQueue[RejectCommand]
    records: BoundedQueue[RecordItem]
    evidence: BoundedQueue[EvidenceItem] | None

    def others(self) -> list[BoundedQueue[Any]]:
        """All but the inspect queue: they count what they drop."""
        optional = [] if self.evidence is None else [self.evidence]
        return [self.dispatch, self.commands, self.records, *optional]


def build_line(
    config: LineConfig,
    devices: Devices,
    clock: Clock,
    preview: Callable[[Frame, AnomalyMap | None], None] | None = None,
    progress: Callable[[], None] | None = None,
    renew: Callable[[], Detector] | None = None,
) -> Line:
    """Wire the stages around the devices. Nothing runs yet.

    Args:
        preview: gets every inspected frame, in the inspect stage's thread.
        progress: called by the inspect stage in every round while the whole deadline path is alive; feeds the
            watchdog.
        renew: loads the detector anew after it has failed; see `EngineKeeper`.
    """
    bundle = devices.inspector.bundle
    recipe = RecipeCell(build_recipe(config.recipe, bundle.calibration.limits, devices.plc.capabilities))
    queues = _queues(config)
    monitor = LineMonitor()
    events = Events(queues.records, clock)
    has_gate = bool(devices.plc.capabilities)
    shed, reload = LoadShed(), ConfigProbe()
    dispatch = _dispatch(config, devices, recipe, queues, shed, monitor, clock)
    vitals = Vitals(dispatch, bundle.identity.trust, clock)
    engine = EngineKeeper(devices.inspector.detector, renew, clock)
    link = _plc_link(config, devices.plc, recipe.current, queues, monitor, events, vitals, clock) if has_gate else None
    opening = opening_records(config, devices, recipe.current.limits, clock)
    last = _start_numbering(devices, link, recipe.current, config.camera.name, queues.records, opening, clock)
    stages = Stages(
        capture=_capture(config, devices, recipe, queues, PartTracker(last), events, link, clock),
        inspect=InspectStage(
            engine,
            recipe,
            queues.inspect,
            queues.dispatch,
            clock,
            preview,
            _fed(progress, vitals),
            newest_first=config.camera.overflow is Overflow.REJECT,
        ),
        dispatch=dispatch,
        record=record_stage(config.ledger, devices, queues.records, clock),
        plc=link,
        publish=publish_stage(config.mqtt, devices, events, clock),
        evidence=evidence_stage(config, bundle, queues.evidence, clock),
    )
    conditions = line_conditions(
        config,
        devices,
        stages,
        queues.records,
        engine,
        recipe.current.gate_mode,
        reload,
        monitor,
        vitals,
        events,
        clock,
    )
    return Line(
        stages,
        devices.camera,
        devices.ledger,
        devices.broker,
        recipe,
        queues.inspect,
        queues.others(),
        monitor,
        vitals,
        conditions,
        reload,
        shed,
        events,
        clock,
    )


def _fed(progress: Callable[[], None] | None, vitals: Vitals) -> Callable[[], None] | None:
    """Progress is told only while the whole deadline path is alive: idle rounds must not hide a hung capture."""
    if progress is None:
        return None
    return lambda: progress() if vitals.deadline_path_alive() else None


def _dispatch(
    config: LineConfig,
    devices: Devices,
    recipe: RecipeCell,
    queues: _Queues,
    shed: LoadShed,
    monitor: LineMonitor,
    clock: Clock,
) -> DispatchStage:
    return DispatchStage(
        recipe,
        devices.inspector.bundle.identity,
        config.camera.name,
        queues.dispatch,
        queues.commands if devices.plc.capabilities else None,
        queues.records,
        queues.evidence,
        monitor,
        clock,
        shed,
    )


def _queues(config: LineConfig) -> _Queues:
    waits = config.camera.overflow is Overflow.WAIT
    return _Queues(
        inspect=BoundedQueue("inspect", FOLDER_QUEUE if waits else config.ops.inspect_queue),
        dispatch=BoundedQueue("dispatch", DISPATCH_CAPACITY),
        commands=BoundedQueue("commands", COMMAND_CAPACITY),
        records=BoundedQueue("records", RECORD_CAPACITY),
        evidence=BoundedQueue("evidence", EVIDENCE_CAPACITY) if config.evidence.enabled else None,
    )


def _capture(
    config: LineConfig,
    devices: Devices,
    recipe: RecipeCell,
    queues: _Queues,
    tracker: PartTracker,
    events: Events,
    link: PlcLink | None,
    clock: Clock,
) -> CaptureStage:
    counts = config.plc_link.watch_trigger_count and PlcCapability.TRIGGER_COUNT in devices.plc.capabilities
    return CaptureStage(
        devices.camera,
        tracker,
        recipe,
        devices.inspector.bundle.identity,
        queues.inspect,
        queues.dispatch,
        events,
        clock,
        wait_when_full=config.camera.overflow is Overflow.WAIT,
        trigger_count=(lambda: link.inputs.trigger_count) if counts and link is not None else None,
        trigger_timeout_ns=config.plc_link.trigger_timeout_ms * 1_000_000,
    )


def _plc_link(
    config: LineConfig,
    plc: Plc,
    recipe: Recipe,
    queues: _Queues,
    monitor: LineMonitor,
    events: Events,
    vitals: Vitals,
    clock: Clock,
) -> PlcLink:
    settings = config.plc_link
    timing = LinkTiming(
        heartbeat_ns=settings.heartbeat_ms * 1_000_000,
        poll_ns=settings.poll_ms * 1_000_000,
        acknowledge_timeout_ns=settings.acknowledge_timeout_ms * 1_000_000,
        reconnect_ns=settings.reconnect_ms * 1_000_000,
        watch_inputs=settings.watch_trigger_count or recipe.timing.encoder_ticks is not None,
    )
    return PlcLink(
        plc,
        recipe.gate_mode,
        queues.commands,
        timing,
        vitals.device_state,
        monitor.gate,
        events,
        clock,
    )


def _start_numbering(
    devices: Devices,
    link: PlcLink | None,
    recipe: Recipe,
    camera: str,
    records: BoundedQueue[RecordItem],
    opening: Sequence[EventRecord],
    clock: Clock,
) -> int:
    """Where part numbers go on, after writing down how we started and what the PLC acted upon without the ledger.

    A PLC that cannot be reached now is asked when it is: what it remembers by then is still of the time before us.
    """
    committed = devices.ledger.last_part_sequence()
    identity = devices.inspector.bundle.identity

    def compare(acknowledged: int | None) -> Reconciliation:
        return reconcile(committed, acknowledged, recipe, identity, camera, clock.monotonic_ns(), clock.wall_ns())

    def catch_up(inputs: PlcInputs) -> None:
        for record in compare(inputs.acknowledged_sequence).interrupted:
            records.try_put(RecordItem(record))

    acknowledged = None
    if link is not None:
        try:
            acknowledged = link.connect_now().acknowledged_sequence
        except PlcError:
            link.at_first_contact(catch_up)
    found = compare(acknowledged)
    begun: list[LedgerEntry] = [*opening, *found.interrupted]
    try:
        devices.ledger.append(begun)
    except LedgerError:
        for record in begun:  # a full disk stops no line: the record stage goes on trying, these first
            records.try_put(RecordItem(record))
    return found.last_part_sequence
