"""What a soak found, on one page for people and as plain values for machines; and whether it has failed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.app.soak.watch import slope

if TYPE_CHECKING:
    from edge_runtime.app.soak.run import SoakResult
    from edge_runtime.app.soak.watch import Sample, Slope

LEAST_JUDGED_S = 300.0
"""A slope over less time is shown, not judged: what a process does in its first minutes says nothing about a month."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How one quantity developed."""

    name: str
    unit: str
    slope: Slope | None
    most: float
    """Per hour."""
    first: float
    last: float

    @property
    def exceeds(self) -> bool:
        """True if it surely grows faster than it may."""
        return self.slope is not None and self.slope.low > self.most


@dataclass(frozen=True, slots=True)
class Account:
    """The judgement."""

    result: SoakResult
    drifts: tuple[Drift, ...]
    judged: bool
    """Whether the run was long enough to judge slopes."""
    findings: tuple[str, ...]
    """Empty: the soak passed."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes None."""
        plan = asdict(self.result.plan) | {"bundle": str(self.result.plan.bundle), "work": str(self.result.plan.work)}
        values = {
            "plan": plan,
            "ran_s": self.result.ran_s,
            "findings": list(self.findings),
            "books": asdict(self.result.books),
            "slopes_judged": self.judged,
            "slopes": [asdict(drift) for drift in self.drifts],
            "latency_ms": self.result.latency_ms,
            "reasons": self.result.reasons,
            "exit_code": self.result.exit_code,
            "samples": [asdict(sample) for sample in self.result.samples],
        }
        finite: dict[str, Any] = _finite(values)
        return finite

    def page(self) -> str:
        """For people."""
        result, plan, books = self.result, self.result.plan, self.result.books
        ran = (
            f"  ran         {result.ran_s:.0f} s at {plan.parts_per_s:g} parts/s, {plan.width_px}×{plan.height_px} px, "
            f"bundle {plan.bundle.name}"
        )
        agree = (
            f"  books       triggers {books.triggers}, ledger {books.ledger}, subscriber {books.subscriber} "
            f"({books.duplicates} duplicates)"
        )
        gate = (
            f"  gate        {books.gate_parts} parts: {books.gate_passed} passed ({books.bad_passed} bad), "
            f"{books.good_rejected} good ones rejected"
        )
        lines = [
            f"soak, seed {plan.seed}: {'PASSED' if not self.findings else 'FAILED'}",
            ran,
            agree,
            gate,
            f"  reasons     {', '.join(f'{reason} {count}' for reason, count in result.reasons.items())}",
            f"  latency     {', '.join(f'{name} {value:.1f} ms' for name, value in result.latency_ms.items())}",
            *(_drift_line(drift) for drift in self.drifts),
        ]
        if not self.judged:
            lines.append(f"  slopes      not judged: less than {LEAST_JUDGED_S:.0f} s after the warm-up")
        lines += [f"  FINDING     {finding}" for finding in self.findings]
        again = f"--minutes {plan.duration_s / 60:g} --seed {plan.seed} --parts-per-s {plan.parts_per_s:g}"
        lines.append(f"  again       edge-runtime soak {again}")
        return "\n".join(lines)


def account(result: SoakResult) -> Account:
    """Judge a run."""
    plan = result.plan
    after = [sample for sample in result.samples if sample.at_s >= plan.judged_from_s]
    judged = bool(after) and after[-1].at_s - after[0].at_s >= LEAST_JUDGED_S
    drifts = (
        _drift("rss", "MiB", after, [s.rss_mb for s in after], plan.most.rss_mb_per_h),
        _drift("descriptors", "", after, [float(s.descriptors) for s in after], plan.most.descriptors_per_h),
        _drift("threads", "", after, [float(s.threads) for s in after], plan.most.threads_per_h),
        _drift("latency", "ms", after, [s.latency_ms for s in after], plan.most.latency_ms_per_h),
    )
    findings = list(result.books.findings)
    if result.exit_code != 0:
        findings.append(f"the daemon ended with exit code {result.exit_code}")
    findings += [
        f"{drift.name} grows by {drift.slope.per_h:.2f} {drift.unit}/h, at most {drift.most:g} may be"
        for drift in drifts
        if judged and drift.exceeds and drift.slope is not None
    ]
    return Account(result, drifts, judged, tuple(findings))


def _drift(name: str, unit: str, samples: list[Sample], values: list[float], most: float) -> Drift:
    known = [value for value in values if math.isfinite(value)]
    return Drift(
        name=name,
        unit=unit,
        slope=slope([sample.at_s for sample in samples], values),
        most=most,
        first=known[0] if known else math.nan,
        last=known[-1] if known else math.nan,
    )


def _drift_line(drift: Drift) -> str:
    span = f"{drift.first:.1f} → {drift.last:.1f} {drift.unit}".rstrip()
    if drift.slope is None:
        return f"  {drift.name:<11} {span}; too few samples for a slope"
    found = drift.slope
    return (
        f"  {drift.name:<11} {span}; slope {found.per_h:+.2f} {drift.unit}/h "
        f"(95 % {found.low:+.2f} … {found.high:+.2f}, {found.samples} samples, at most {drift.most:g})"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
