"""From facts about the stages to the state of the line."""

from __future__ import annotations

from edge_runtime.domain.status import LineFacts, LineHealth, LineState


def assess(facts: LineFacts) -> LineHealth:
    """FAULT where parts cannot be judged, DEGRADED where only what stands beside the deadline path is broken."""
    faults = [
        text
        for text, wrong in (
            (f"stage {facts.dead_stage} has ended", facts.dead_stage),
            (f"stage {facts.hung_stage} hangs", facts.hung_stage),
            (f"camera: {facts.camera}", facts.camera),
        )
        if wrong is not None
    ]
    burdens = [
        text
        for text, wrong in (
            (f"stage {facts.stalled_stage} hangs", facts.stalled_stage),
            (f"PLC: {facts.plc}", facts.plc),
            (f"ledger: {facts.ledger}", facts.ledger),
            (f"broker: {facts.broker}", facts.broker),
        )
        if wrong is not None
    ]
    if faults:
        return LineHealth(LineState.FAULT, (*faults, *burdens))
    if burdens:
        return LineHealth(LineState.DEGRADED, tuple(burdens))
    return LineHealth(LineState.READY, ())
