"""The stages of a line that stand on its deadline path or beside it at the gate, each made from what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.app.combine import panel_of
from edge_runtime.config.camera import Overflow
from edge_runtime.plc.port import PlcCapability
from edge_runtime.services.capture import CaptureStage
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.inspect import InspectStage
from edge_runtime.services.plc_link import LinkTiming, PlcLink
from edge_runtime.services.queues import BoundedQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.app.devices import Devices
    from edge_runtime.app.sharing import Shared
    from edge_runtime.config.line import LineConfig
    from edge_runtime.decision.part_tracker import PartTracker
    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.beside import Beside
    from edge_runtime.services.condition import ConfigProbe
    from edge_runtime.services.events import Events
    from edge_runtime.services.flow import DispatchItem, EvidenceItem, LoadShed, RecipeCell, RecordItem
    from edge_runtime.services.model_swap import Models
    from edge_runtime.services.monitor import LineMonitor
    from edge_runtime.services.product_switch import FileProducts
    from edge_runtime.services.vitals import Vitals

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
class Queues:
    """Between the stages."""

    inspect: BoundedQueue[Part]
    dispatch: BoundedQueue[DispatchItem]
    commands: BoundedQueue[RejectCommand]
    records: BoundedQueue[RecordItem]
    evidence: BoundedQueue[EvidenceItem] | None

    def others(self) -> list[BoundedQueue[Any]]:
        """All but the inspect queue: they count what they drop."""
        optional = [] if self.evidence is None else [self.evidence]
        return [self.dispatch, self.commands, self.records, *optional]


@dataclass(frozen=True, slots=True)
class Common:
    """What the parts of one line share."""

    config: LineConfig
    devices: Devices
    recipe: RecipeCell
    models: Models
    queues: Queues
    monitor: LineMonitor
    events: Events
    reload: ConfigProbe
    shed: LoadShed
    clock: Clock


def make_queues(config: LineConfig) -> Queues:
    """Bounded all of them."""
    waits = config.camera.overflow is Overflow.WAIT
    return Queues(
        inspect=BoundedQueue("inspect", FOLDER_QUEUE if waits else config.ops.inspect_queue),
        dispatch=BoundedQueue("dispatch", DISPATCH_CAPACITY),
        commands=BoundedQueue("commands", COMMAND_CAPACITY),
        records=BoundedQueue("records", RECORD_CAPACITY),
        evidence=BoundedQueue("evidence", EVIDENCE_CAPACITY) if config.evidence.enabled else None,
    )


def dispatch_stage(line: Common, shared: Shared | None = None) -> DispatchStage:
    """The arbiter."""
    return DispatchStage(
        line.recipe,
        line.config.camera.name,
        line.queues.dispatch,
        line.queues.commands if line.devices.plc.capabilities else None,
        line.queues.records,
        line.queues.evidence,
        line.monitor,
        line.clock,
        line.shed,
        None if shared is None else shared.turns,
        at_once=line.config.engine.at_once,
    )


def inspect_stage(
    line: Common,
    vitals: Vitals,
    preview: Callable[[Frame, MapSource | None, Verdict], None] | None,
    progress: Callable[[], None] | None,
    products: FileProducts | None,
    beside: Beside | None = None,
    shared: Shared | None = None,
) -> InspectStage:
    """The one that feeds the watchdog; see `app.line.build_line`."""
    return InspectStage(
        line.models,
        line.recipe,
        line.queues.inspect,
        line.queues.dispatch,
        line.clock,
        preview,
        _fed(progress, vitals),
        newest_first=line.config.camera.overflow is Overflow.REJECT,
        beside=beside,
        products=products,
        panel=panel_of(line.config, line.models, line.clock),
        turns=None if shared is None else shared.turns,
        at_once=line.config.engine.at_once,
    )


def _fed(progress: Callable[[], None] | None, vitals: Vitals) -> Callable[[], None] | None:
    """Progress is told only while the whole deadline path is alive: idle rounds must not hide a hung capture."""
    if progress is None:
        return None
    return lambda: progress() if vitals.deadline_path_alive() else None


def numbers_are_the_plcs(line: Common) -> bool:
    """Whether frames come with the PLC's part numbers, instead of being counted here."""
    return line.config.plc_link.watch_trigger_count and PlcCapability.TRIGGER_COUNT in line.devices.plc.capabilities


def capture_stage(line: Common, tracker: PartTracker, link: PlcLink | None) -> CaptureStage:
    """With the PLC's count of parts, where it is to be watched."""
    settings = line.config.plc_link
    return CaptureStage(
        line.devices.camera,
        tracker,
        line.recipe,
        line.queues.inspect,
        line.queues.dispatch,
        line.events,
        line.clock,
        wait_when_full=line.config.camera.overflow is Overflow.WAIT,
        trigger_count=(lambda: link.count) if numbers_are_the_plcs(line) and link is not None else None,
        trigger_timeout_ns=settings.trigger_timeout_ms * 1_000_000,
    )


def plc_link(line: Common, vitals: Vitals) -> PlcLink | None:
    """None where there is no gate."""
    if not line.devices.plc.capabilities:
        return None
    settings, recipe = line.config.plc_link, line.recipe.current
    timing = LinkTiming(
        heartbeat_ns=settings.heartbeat_ms * 1_000_000,
        poll_ns=settings.poll_ms * 1_000_000,
        acknowledge_timeout_ns=settings.acknowledge_timeout_ms * 1_000_000,
        reconnect_ns=settings.reconnect_ms * 1_000_000,
        watch_inputs=settings.watch_trigger_count
        or recipe.timing.encoder_ticks is not None
        or (line.config.products is not None and line.config.products.source == "plc"),
    )
    return PlcLink(
        line.devices.plc,
        recipe.gate_mode,
        line.queues.commands,
        timing,
        vitals.device_state,
        line.monitor.gate,
        line.events,
        line.clock,
    )
