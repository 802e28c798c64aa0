"""The line's counters as Prometheus metrics, refreshed by the supervisor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_runtime.app.rollout_metrics import RolloutMetrics
from edge_runtime.domain.status import LineReason, LineState

if TYPE_CHECKING:
    from edge_runtime.ops.metrics import Counter, Registry
    from edge_runtime.services.line import Line


class LineMetrics:
    """Copies the monitor's counters into a registry. `refresh` is called by one thread."""

    def __init__(self, registry: Registry) -> None:
        self._verdicts = registry.counter("edge_verdicts_total", "Verdicts by disposition.", ["disposition"])
        self._reasons = registry.counter("edge_verdict_reasons_total", "Verdicts by reason.", ["reason"])
        self._late = registry.counter("edge_late_results_total", "Inspections that ended after their part's verdict.")
        self._gate = registry.counter("edge_gate_commands_total", "Gate commands by outcome.", ["outcome"])
        self._link_errors = registry.counter("edge_plc_link_errors_total", "How often the PLC link failed.")
        self._dropped = registry.counter("edge_dropped_total", "Items given up because a queue was full.", ["queue"])
        self._committed = registry.counter("edge_committed_total", "Records committed to the ledger.")
        self._published = registry.counter("edge_published_total", "Messages acknowledged by the broker.")
        self._latency = registry.gauge("edge_decision_latency_seconds", "Trigger to verdict.", ["quantile"])
        self._backlog = registry.gauge("edge_outbox_backlog", "Committed messages that wait for the broker.")
        self._waiting = registry.gauge("edge_record_waiting", "Verdicts that wait for the ledger.")
        self._ready = registry.gauge("edge_ready", "1 while parts get sound verdicts.")
        self._line_reasons = registry.gauge(
            "edge_line_reason", "1 for each reason why the line is not as it should be.", ["reason"]
        )
        self._lost = registry.counter("edge_records_lost_total", "Verdicts and events that could not be written down.")
        self._ledger_bytes = registry.gauge("edge_ledger_bytes", "Size of the ledger's database.", ["part"])
        self._reserve = registry.gauge("edge_ledger_reserve_bytes", "Room on the disk that is kept for records.")
        self._sequence = registry.gauge("edge_ledger_sequence", "Number of the newest committed record.")
        self._evidence = registry.counter(
            "edge_evidence_images_total", "Evidence images by what became of them.", ["outcome"]
        )
        self._renewals = registry.counter("edge_engine_renewals_total", "How often the engine was loaded anew.")
        self._swaps = registry.counter("edge_model_changes_total", "How often another model began to decide.")
        self._rollbacks = registry.counter("edge_model_rollbacks_total", "Trials that ended in a rollback.")
        self._on_trial = registry.gauge("edge_model_on_trial", "1 while the release that decides is on trial.")
        self._rollout = RolloutMetrics(registry)
        self._state = registry.gauge("edge_state", "1 for the line's present state.", ["state"])

    def refresh(self, line: Line) -> None:
        """Take over the present counts."""
        snapshot, gate = line.monitor.snapshot(), line.monitor.gate
        for disposition, count in snapshot.dispositions.items():
            _raise_to(self._verdicts, count, disposition=str(disposition))
        for reason, count in snapshot.reasons.items():
            _raise_to(self._reasons, count, reason=str(reason))
        _raise_to(self._late, snapshot.late_results)
        for outcome, count in (
            ("reject_in_time", gate.rejects_in_time),
            ("reject_missed", gate.rejects_missed),
            ("pass_granted", gate.passes_granted),
            ("pass_lost", gate.passes_lost),
        ):
            _raise_to(self._gate, count, outcome=outcome)
        _raise_to(self._link_errors, gate.link_errors)
        for name, dropped in line.dropped().items():
            _raise_to(self._dropped, dropped, queue=name)
        _raise_to(self._committed, line.stages.record.committed)
        if line.stages.publish is not None:
            _raise_to(self._published, line.stages.publish.acknowledged)
        for quantile, value_ms in (("0.5", snapshot.decision.p50_ms), ("0.99", snapshot.decision.p99_ms)):
            if math.isfinite(value_ms):
                self._latency.set(value_ms / 1e3, quantile=quantile)
        self._backlog.set(line.backlog())
        self._waiting.set(line.stages.record.waiting)
        self._ready.set(float(line.health.can_judge))
        holding = {standing.reason for standing in line.health.reasons}
        for name in LineReason:
            self._line_reasons.set(float(name in holding), reason=str(name))
        _raise_to(self._lost, line.records_lost())
        self._refresh_disk(line)
        _raise_to(self._renewals, line.stages.inspect.renewals)
        self._refresh_model(line)
        for state in LineState:
            self._state.set(float(state is line.health.state), state=str(state))

    def _refresh_model(self, line: Line) -> None:
        _raise_to(self._swaps, line.models.swaps)
        if (activation := line.stages.activation) is not None:
            _raise_to(self._rollbacks, sum(stage.trials.failures for stage in activation.all))
            self._on_trial.set(float(any(stage.trials.current is not None for stage in activation.all)))
        if (rollout := line.stages.rollout) is not None:
            self._rollout.refresh(rollout.report)

    def _refresh_disk(self, line: Line) -> None:
        room, evidence = line.stages.record.housekeeping.room, line.stages.evidence
        self._ledger_bytes.set(room.used_bytes, part="used")
        self._ledger_bytes.set(room.spare_bytes, part="spare")
        self._reserve.set(room.reserve_bytes)
        self._sequence.set(line.ledger.head.sequence)
        if evidence is not None:
            for outcome, count in (
                ("saved", evidence.saved),
                ("lost", evidence.failed),
                ("given_up", evidence.given_up),
            ):
                _raise_to(self._evidence, count, outcome=outcome)


def _raise_to(counter: Counter, count: int, **labels: str) -> None:
    counter.inc(max(0.0, count - counter.value(**labels)), **labels)
