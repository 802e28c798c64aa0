from __future__ import annotations

import pytest
from rollout_bench import SECOND, RolloutBench

from edge_runtime.app.rollout_metrics import RolloutMetrics
from edge_runtime.ops.metrics import Registry


class Scrape:
    """What Prometheus would read of a rollout."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._metrics = RolloutMetrics(self._registry)

    def values(self, bench: RolloutBench) -> dict[str, str]:
        """Sample → value, as it stands now."""
        self._metrics.refresh(bench.service.report)
        rows = self._registry.render().splitlines()
        return dict(row.rsplit(" ", 1) for row in rows if not row.startswith("#"))


@pytest.fixture
def bench(tmp_path) -> RolloutBench:
    """A rollout that a person promotes; a report every minute."""
    return RolloutBench(tmp_path, by_rule=False)


def test_without_a_candidate_no_stage_is_claimed(bench) -> None:
    """No sample of a stage, and an agreement that is not a number: neither 0 nor 1 would be true."""
    values = Scrape().values(bench)
    assert not any("stage" in name for name in values)
    assert values["edge_rollout_agreement"] == "NaN"


def test_the_figures_are_those_of_the_newest_report(bench) -> None:
    """Exactly one stage is 1; parts, rejects and agreement are what the report says."""
    scrape = Scrape()
    bench.look()
    bench.run(30)
    bench.part(candidate=5.0)
    bench.clock.advance(60 * SECOND)
    bench.look()
    values = scrape.values(bench)
    report = bench.told.reports[-1]
    assert values['edge_rollout_stage{stage="shadow"}'] == "1"
    assert sum(float(value) for name, value in values.items() if "_stage" in name) == 1
    assert report.candidate.parts == 31
    assert values['edge_rollout_parts{model="candidate"}'] == "31"
    assert values['edge_rollout_rejected{model="candidate"}'] == "1"
    assert values['edge_rollout_rejected{model="active"}'] == "0"
    assert float(values["edge_rollout_agreement"]) == pytest.approx(30 / 31)


def test_a_stage_that_ends_leaves_its_sample_at_zero(bench) -> None:
    """A canary shares no part with the active model: it has no agreement."""
    scrape = Scrape()
    bench.look()
    bench.run(5)
    scrape.values(bench)
    bench.ask("promote")
    values = scrape.values(bench)
    assert values['edge_rollout_stage{stage="shadow"}'] == "0"
    assert values['edge_rollout_stage{stage="canary"}'] == "1"
    assert values["edge_rollout_agreement"] == "NaN"


def test_after_a_restart_the_figures_are_there_at_once(bench) -> None:
    """Those that were written down, before the new life has seen a part."""
    bench.look()
    bench.run(20)
    bench.service.finish()
    bench.start()
    values = Scrape().values(bench)
    assert values['edge_rollout_stage{stage="shadow"}'] == "1"
    assert values['edge_rollout_parts{model="candidate"}'] == "20"
