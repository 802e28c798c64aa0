"""What a line is asked at every look: the probes that fit its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ops.memory import SystemMemory
from edge_runtime.services.condition import (
    BrokerProbe,
    CameraProbe,
    ClockProbe,
    Conditions,
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
    from edge_runtime.app.stages import Common
    from edge_runtime.services.condition import Probe
    from edge_runtime.services.line import Stages
    from edge_runtime.services.vitals import Vitals


def line_conditions(line: Common, stages: Stages, vitals: Vitals) -> Conditions:
    """All that can be wrong with a line of these devices."""
    devices = line.devices
    reserve_mb = line.config.ops.memory_reserve_mb
    probes: list[Probe] = [
        StageProbe(vitals),
        EngineProbe(line.models),
        CameraProbe(devices.camera),
        VerdictProbe(line.monitor),
        LedgerProbe(stages.record),
        MemoryProbe(SystemMemory(), None if reserve_mb is None else reserve_mb * 1_000_000),
        ClockProbe(line.clock, line.events),
        TrustProbe(line.recipe),
        line.reload,
    ]
    if stages.plc is not None:
        probes.append(GateProbe(stages.plc, line.recipe.current.gate_mode, line.monitor))
    if devices.broker is not None and stages.publish is not None:
        probes.append(BrokerProbe(devices.broker, stages.publish))
    if stages.evidence is not None:
        probes.append(EvidenceProbe(stages.evidence))
    return Conditions(probes)
