from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.app.soak.account import account
from edge_runtime.app.soak.books import Books
from edge_runtime.app.soak.plan import SoakPlan
from edge_runtime.app.soak.run import SoakResult
from edge_runtime.app.soak.watch import LEAST_SAMPLES, Sample, slope

AGREE = Books(100, 100, 100, 0, 100, 80, 0, 0, ())


def _result(rss_mb_per_h: float, seconds: int = 3_600, books: Books = AGREE) -> SoakResult:
    """A run sampled every ten seconds, with a little noise on the memory."""
    noise = np.random.default_rng(1).normal(0, 0.2, seconds)
    samples = tuple(
        Sample(float(at), 100 + rss_mb_per_h * at / 3_600 + noise[at], 20, 12, 5.0, 0) for at in range(0, seconds, 10)
    )
    plan = SoakPlan(float(seconds), 10.0, 1, Path("demo.bundle"), Path("work"))
    return SoakResult(plan, float(seconds), samples, books, {"p50": 5.0}, {"below_limit": 100}, 0)


def test_a_leak_fails_the_soak_and_says_how_much() -> None:
    """Thirty megabytes per hour are found, and named with their unit."""
    found = account(_result(30.0))
    assert any("rss grows by 30" in finding and "MiB/h" in finding for finding in found.findings)
    assert "FAILED" in found.page()


@pytest.mark.parametrize(("leak_b_per_part", "passes"), [(0, True), (1_024, False)])
def test_ten_minutes_tell_a_leak_from_memories_that_fill(leak_b_per_part, passes) -> None:
    """Ten parts per second: 150 bytes per part up to the 10,000th are no leak; a kilobyte per part for ever is."""
    flat = _result(0.0, seconds=600)
    grown = tuple(
        replace(sample, rss_mb=sample.rss_mb + (150 + leak_b_per_part) * sample.at_s * 10 / 2**20)
        for sample in flat.samples
    )
    found = account(replace(flat, samples=grown))
    assert found.judged
    assert (found.findings == ()) is passes


def test_noise_without_a_leak_passes() -> None:
    """The slope's interval holds zero."""
    found = account(_result(0.0))
    assert found.findings == ()
    assert "PASSED" in found.page()
    rss = found.drifts[0].slope
    assert rss.low < 0 < rss.high


def test_a_short_run_shows_its_slopes_and_does_not_judge_them() -> None:
    """In its first minutes every process grows."""
    found = account(_result(300.0, seconds=360))
    assert found.findings == ()
    assert not found.judged
    assert "not judged" in found.page()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"books": replace(AGREE, findings=("1 triggers without verdict: 7",))}, "triggers without verdict"),
        ({"exit_code": -9}, "exit code -9"),
    ],
)
def test_books_that_do_not_agree_and_a_dead_daemon_fail_the_soak(change, text) -> None:
    """However short the run was."""
    found = account(replace(_result(0.0, seconds=60), **change))
    assert text in "; ".join(found.findings)


def test_the_account_for_machines_has_no_nan() -> None:
    """A sample in which no verdict came has no latency: null."""
    result = _result(0.0, seconds=600)
    silent = replace(result, samples=(*result.samples, replace(result.samples[-1], latency_ms=math.nan)))
    assert account(silent).as_json()["samples"][-1]["latency_ms"] is None


@given(st.floats(-1e3, 1e3), st.floats(-1e6, 1e6), st.integers(LEAST_SAMPLES, 200))
def test_a_straight_line_is_found_exactly(per_h, start, count) -> None:
    """Whatever its slope, the interval is that slope."""
    times = [60.0 * n for n in range(count)]
    found = slope(times, [start + per_h * time / 3_600 for time in times])
    assert found is not None
    assert found.low - 1e-3 <= per_h <= found.high + 1e-3
    assert found.samples == count


@given(st.integers(0, 10_000))
def test_neighbours_that_resemble_each_other_widen_the_interval(seed) -> None:
    """A random walk has no drift; an interval as for independent errors would see one in most of them."""
    walk = np.cumsum(np.random.default_rng(seed).normal(0, 1, 200))
    times = [10.0 * n for n in range(200)]
    found = slope(times, list(walk))
    residuals = walk - np.polyval(np.polyfit(times, walk, 1), times)
    naive = 3_600 * 1.96 * residuals.std() / (np.std(times) * np.sqrt(200))
    assert found.high - found.low > 2 * naive


def test_too_few_samples_have_no_slope() -> None:
    """Nor have values that are not there."""
    assert slope([1.0, 2.0], [1.0, 2.0]) is None
    assert slope([float(n) for n in range(100)], [math.nan] * 100) is None
