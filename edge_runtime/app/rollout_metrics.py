"""How a rollout stands, as Prometheus metrics: the figures of its newest report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_runtime.domain.rollout import RolloutStage

if TYPE_CHECKING:
    from edge_runtime.domain.rollout import RolloutReport
    from edge_runtime.ops.metrics import Registry


class RolloutMetrics:
    """Copies a report into a registry. `refresh` is called by one thread."""

    def __init__(self, registry: Registry) -> None:
        self._stage = registry.gauge("edge_rollout_stage", "1 for the stage of the newest candidate.", ["stage"])
        sides = ["model"]
        self._parts = registry.gauge("edge_rollout_parts", "Parts of this stage that count for a model.", sides)
        self._rejected = registry.gauge("edge_rollout_rejected", "Of these, parts that the gate would eject.", sides)
        self._faults = registry.gauge("edge_rollout_faults", "Parts of this stage that a model could not judge.", sides)
        self._wanted = registry.gauge("edge_rollout_parts_wanted", "Parts that this stage asks for.")
        self._skipped = registry.gauge("edge_rollout_skipped", "Parts that the shadow did not look at.")
        self._agreement = registry.gauge(
            "edge_rollout_agreement", "Shadow: share of the parts with the same disposition; NaN while there is none."
        )
        self._agreement.set(math.nan)

    def refresh(self, report: RolloutReport | None) -> None:
        """Take over a report; None: there was no candidate yet."""
        if report is None:
            return
        for stage in RolloutStage:
            self._stage.set(float(stage is report.stage), stage=str(stage))
        for name, side in (("active", report.active), ("candidate", report.candidate)):
            self._parts.set(side.parts, model=name)
            self._rejected.set(side.rejected, model=name)
            self._faults.set(side.faults, model=name)
        self._wanted.set(report.wanted)
        self._skipped.set(report.skipped)
        self._agreement.set(math.nan if report.agreement is None else report.agreement)
