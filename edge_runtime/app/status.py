"""The line's state as the status message, the health page and the metrics tell it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from edge_runtime import __version__
from edge_runtime.broker.encoding import bundle_field, iso_time, limits_field, status_payload
from edge_runtime.broker.message_parts import CombinationField, MemberField
from edge_runtime.broker.messages import (
    CountersField,
    LedgerField,
    ReasonField,
    ReleaseField,
    StatusMessage,
)
from edge_runtime.domain.status import Weight
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.ops.health import Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.domain.status import Standing
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.line import Line
    from edge_runtime.services.monitor import LineSnapshot


_WEIGHTS: Final[Mapping[Weight, Literal["notice", "degraded", "fault"]]] = {
    Weight.NOTICE: "notice",
    Weight.DEGRADED: "degraded",
    Weight.FAULT: "fault",
}


class StatusReporter:
    """Puts together what is known about a line."""

    def __init__(self, line: Line, device: str, clock: Clock) -> None:
        self._line = line
        self._device = device
        self._clock = clock

    def payload(self) -> bytes:
        """The retained status message."""
        line, health = self._line, self._line.health
        recipe, bundle = line.recipe.both
        snapshot = line.monitor.snapshot()
        wall_ns = self._clock.wall_ns()
        gate = line.monitor.gate
        return status_payload(
            StatusMessage(
                device=self._device,
                time=iso_time(wall_ns),
                time_ns=wall_ns,
                state=health.state,
                ready=health.can_judge,
                version=__version__,
                detail=health.text,
                reasons=[self._reason(standing) for standing in health.reasons],
                trust="production" if bundle.trust == "production" else "development",
                bundle=bundle_field(bundle),
                release=self._release(),
                limits=limits_field(recipe.limits),
                combination=self._combination(),
                recipe=recipe.name,
                gate_mode=self._gate_mode(),
                camera=f"{line.camera.name}: {line.camera.status().state}",
                engine=line.models.current.engine,
                plc=self._plc(),
                uptime_s=(self._clock.monotonic_ns() - line.started_ns) / 1e9,
                counters=self._counters(snapshot),
                latency_p50_ms=_finite(snapshot.decision.p50_ms),
                latency_p99_ms=_finite(snapshot.decision.p99_ms),
                rejects_in_time=gate.rejects_in_time,
                rejects_missed=gate.rejects_missed,
                ledger=self._ledger(),
            )
        )

    def health(self) -> Health:
        """For `/health`."""
        line = self._line
        bundle = line.recipe.bundle
        broker = line.broker.status() if line.broker is not None else None
        return Health(
            ready=line.health.can_judge,
            state=str(line.health.state),
            details={
                "reasons": [self._reason(standing).model_dump(mode="json") for standing in line.health.reasons],
                "bundle": f"{bundle.name} {bundle.version}",
                "trust": bundle.trust,
                "combination": None if (found := self._combination()) is None else found.model_dump(mode="json"),
                "release": None if (release := self._release()) is None else release.model_dump(),
                "camera": str(line.camera.status().state),
                "plc": self._plc(),
                "broker": None if broker is None else broker.detail,
                "backlog": line.backlog(),
                "ledger": self._ledger().model_dump(),
                "parts": line.monitor.snapshot().parts,
            },
        )

    def one_line(self) -> str:
        """For `systemctl status`."""
        health = self._line.health
        reasons = f" ({health.text})" if health.reasons else ""
        stage = self._line.stages.activation
        on_trial = " · release on trial" if stage is not None and any(one.trials.current for one in stage.all) else ""
        trust = "" if self._line.recipe.bundle.trust == "production" else " · DEVELOPMENT bundle"
        return f"{health.state}{reasons} · {self._line.monitor.snapshot().parts} parts{trust}{on_trial}"

    def _release(self) -> ReleaseField | None:
        stage = self._line.stages.activation
        if stage is None:
            return None
        current, trial = self._line.models.current, stage.trials.current
        return ReleaseField(
            product=stage.product,
            counter=0 if current.is_stand_in or current.bundle.release is None else current.bundle.release.counter,
            standing="suspended" if current.is_stand_in else "confirmed" if trial is None else "trial",
            trial_parts=None if trial is None else trial.tally.sound,
            standby_loaded=stage.is_standby_loaded,
        )

    def _combination(self) -> CombinationField | None:
        line, panel = self._line, self._line.stages.inspect.panel
        if panel is None:
            return None
        others = line.models.others
        models = (line.models.current, *others)
        limits = (line.recipe.current.limits, *(other.recipe.limits for other in others))
        return CombinationField(
            rule=panel.combination.rule,
            models=[
                MemberField(
                    bundle=bundle_field(model.bundle.identity),
                    limits=limits_field(own),
                    engine=model.engine,
                    looked=counters.looked,
                    decided=counters.decided,
                )
                for model, own, counters in zip(models, limits, panel.counters, strict=True)
            ],
        )

    def _reason(self, standing: Standing) -> ReasonField:
        return ReasonField(
            name=standing.reason,
            weight=_WEIGHTS[standing.weight],
            detail=standing.detail,
            for_s=round(max(0, self._clock.monotonic_ns() - standing.since_ns) / 1e9, 1),
            latched=standing.latched,
        )

    def _gate_mode(self) -> Literal["permit", "fire", "none"]:
        if self._line.stages.plc is None:
            return "none"
        return "permit" if self._line.recipe.current.gate_mode.value == "permit" else "fire"

    def _plc(self) -> str | None:
        link = self._line.stages.plc
        if link is None:
            return None
        if link.failing is not None and link.plc_name in link.failing:
            return link.failing
        return f"{link.plc_name}: {link.failing or ('connected' if link.connected else 'connecting')}"

    def _ledger(self) -> LedgerField:
        record, ledger = self._line.stages.record, self._line.ledger
        head, room = ledger.head, record.housekeeping.room
        return LedgerField(
            sequence=head.sequence,
            hash=head.hash.hex(),
            waiting=record.waiting,
            lost=self._line.records_lost(),
            size_mb=(room.used_bytes + room.spare_bytes) / 1e6,
            reserve_mb=room.reserve_bytes / 1e6,
            set_aside=ledger.opening.set_aside,
        )

    def _counters(self, snapshot: LineSnapshot) -> CountersField:
        line = self._line
        return CountersField(
            parts=snapshot.parts,
            passed=snapshot.dispositions[Disposition.PASS],
            review=snapshot.dispositions[Disposition.REVIEW],
            rejected=snapshot.dispositions[Disposition.REJECT],
            faults=sum(count for reason, count in snapshot.reasons.items() if reason.is_fault),
            deadline_missed=snapshot.reasons.get(Reason.DEADLINE_MISSED, 0),
            backlog=line.backlog(),
            dropped_frames=line.camera.status().dropped,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
