"""Small values of a rollout, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ledger_records import WALL_NS
from line_process import DEMO_BUNDLE
from makers import BUNDLE

from edge_runtime.decision.rollout_evidence import Evidence, Look
from edge_runtime.decision.rollout_report import Standing, make_report
from edge_runtime.decision.rollout_rules import RolloutTerms, StageTerms
from edge_runtime.domain.records import RolloutRecord
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from edge_runtime.domain.rollout import RolloutStage

FAST_BUNDLE = DEMO_BUNDLE.with_name("demo_fast.bundle")
MS = 1_000_000
PASS = Look(Disposition.PASS, ejected=False, score=0.2, duration_ns=5 * MS)
REJECT = Look(Disposition.REJECT, ejected=True, score=2.0, duration_ns=5 * MS)


def make_terms(**other: Any) -> RolloutTerms:
    """500 parts in the shadow, 200 as canary, no dwell; a deadline of 100 ms."""
    stated = {
        "shadow": StageTerms(500, 0),
        "canary": StageTerms(200, 0),
        "share": 0.1,
        "alpha": 0.01,
        "smallest_difference": 0.0,
        "stops_at_difference": True,
        "most_reject_rate": 0.5,
        "most_faults": 0.001,
        "least_agreement": 0.95,
        "most_distance": 0.3,
        "most_latency": 0.8,
        "deadline_ns": 100 * MS,
    }
    return RolloutTerms(**(stated | other))  # type: ignore[arg-type]


def rollout_record(stage: RolloutStage, evidence: Evidence) -> RolloutRecord:
    """A report ten minutes after the stage began."""
    bundles = BUNDLE, replace(BUNDLE, version="2", digest="1" * 64)
    lasted_ns = 600 * 10**9
    report = make_report(Standing(stage, WALL_NS, lasted_ns, "compared with test 1"), evidence, make_terms(), bundles)
    return RolloutRecord(report, WALL_NS + lasted_ns)


def make_pairs(same: int, *, only_active: int = 0, only_candidate: int = 0) -> Evidence:
    """Pairs of which `same` pass with both."""
    evidence = Evidence()
    for count, pair in ((same, (PASS, PASS)), (only_active, (REJECT, PASS)), (only_candidate, (PASS, REJECT))):
        for _ in range(count):
            evidence.add_pair(*pair)
    return evidence


def rollout_config(folder: Path, more: str = "") -> tuple[Path, Path]:
    """A line whose candidate is the fast bundle, and its state folder, in `folder`.

    Args:
        folder: theirs.
        more: further lines of the configuration.
    """
    state, config = folder / "state", folder / "line.toml"
    state.mkdir()
    lines = [
        f'device = {{ name = "line", state_dir = "{state}" }}',
        f'bundle = {{ path = "{DEMO_BUNDLE}" }}',
        'camera = { kind = "sim" }',
        f'rollout = {{ enabled = true, candidate = "{FAST_BUNDLE}" }}',
    ]
    config.write_text("\n".join([*lines, more]), encoding="utf-8")
    return config, state
