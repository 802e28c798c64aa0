"""What a line is asked at every look: the probes that fit its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundles.delivery_files import FOLDER as DELIVERY_FOLDER
from edge_runtime.bundles.delivery_files import DeliveryFile
from edge_runtime.domain.delivery import Via
from edge_runtime.ops.memory import SystemMemory
from edge_runtime.services.condition import (
    ActivationProbe,
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
from edge_runtime.services.update_probe import UpdateProbe

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
        UpdateProbe(_delivery_files(line), line.events.record, line.clock),
    ]
    if stages.plc is not None:
        probes.append(GateProbe(stages.plc, line.recipe.current.gate_mode, line.monitor))
    if devices.broker is not None and stages.publish is not None:
        probes.append(BrokerProbe(devices.broker, stages.publish))
    if stages.activation is not None:
        probes += [ActivationProbe(stage) for stage in stages.activation.all]
    if stages.evidence is not None:
        probes.append(EvidenceProbe(stages.evidence))
    return Conditions(probes)


def _delivery_files(line: Common) -> list[DeliveryFile]:
    """Where those who bring releases in leave word; nobody does for a line that runs a file."""
    if line.config.bundle.product is None:
        return []
    folder = line.config.device.state_dir / DELIVERY_FOLDER
    return [DeliveryFile(folder, via) for via in Via]
