"""What a line is asked at every look: the probes that fit its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ops.memory import SystemMemory
from edge_runtime.services.condition import (
    BrokerProbe,
    CameraProbe,
    ClockProbe,
    Conditions,
    ConfigProbe,
    EngineProbe,
    EvidenceProbe,
    GateProbe,
    LedgerProbe,
    MemoryProbe,
    StageProbe,
    TrustProbe,
    VerdictProbe,
)

if TYPE_CHECKING:
    from edge_runtime.app.devices import Devices
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.recipe import GateMode
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.condition import Probe
    from edge_runtime.services.engine_keeper import EngineKeeper
    from edge_runtime.services.flow import EventSink, RecordItem
    from edge_runtime.services.line import Stages
    from edge_runtime.services.monitor import LineMonitor
    from edge_runtime.services.queues import BoundedQueue
    from edge_runtime.services.vitals import Vitals


def line_conditions(
    config: LineConfig,
    devices: Devices,
    stages: Stages,
    records: BoundedQueue[RecordItem],
    engine: EngineKeeper,
    gate_mode: GateMode,
    reload: ConfigProbe,
    monitor: LineMonitor,
    vitals: Vitals,
    events: EventSink,
    clock: Clock,
) -> Conditions:
    """All that can be wrong with a line of these devices."""
    reserve_mb = config.ops.memory_reserve_mb
    probes: list[Probe] = [
        StageProbe(vitals),
        EngineProbe(engine),
        CameraProbe(devices.camera),
        VerdictProbe(monitor),
        LedgerProbe(stages.record, records),
        MemoryProbe(SystemMemory(), None if reserve_mb is None else reserve_mb * 1_000_000),
        ClockProbe(clock, events),
        TrustProbe(devices.inspector.bundle.identity.trust),
        reload,
    ]
    if stages.plc is not None:
        probes.append(GateProbe(stages.plc, gate_mode, monitor))
    if devices.broker is not None and stages.publish is not None:
        probes.append(BrokerProbe(devices.broker, stages.publish))
    if stages.evidence is not None:
        probes.append(EvidenceProbe(stages.evidence))
    return Conditions(probes)
