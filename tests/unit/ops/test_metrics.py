from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.ops.metrics import Registry


def test_the_exposition_is_what_prometheus_reads() -> None:
    """Help, type, escaped labels and cumulative buckets, as the text format 0.0.4 defines them.

    The expected text was accepted by the parser of the official client library, with these very values.
    """
    registry = Registry()
    parts = registry.counter("edge_parts_total", "Parts \\ by\ndisposition.", ("disposition",))
    parts.inc(disposition='a "b" \\ c\n')
    parts.inc(2, disposition="PASS")
    registry.gauge("edge_ready", "Ready.").set(0.25)
    latency = registry.histogram("edge_latency_seconds", "Latency.", ("stage",), (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        latency.observe(value, stage="inspect")
    assert registry.render() == (
        "# HELP edge_parts_total Parts \\\\ by\\ndisposition.\n"
        "# TYPE edge_parts_total counter\n"
        'edge_parts_total{disposition="a \\"b\\" \\\\ c\\n"} 1\n'
        'edge_parts_total{disposition="PASS"} 2\n'
        "# HELP edge_ready Ready.\n"
        "# TYPE edge_ready gauge\n"
        "edge_ready 0.25\n"
        "# HELP edge_latency_seconds Latency.\n"
        "# TYPE edge_latency_seconds histogram\n"
        'edge_latency_seconds_bucket{stage="inspect",le="0.1"} 2\n'
        'edge_latency_seconds_bucket{stage="inspect",le="1"} 3\n'
        'edge_latency_seconds_bucket{stage="inspect",le="+Inf"} 4\n'
        'edge_latency_seconds_sum{stage="inspect"} 7.65\n'
        'edge_latency_seconds_count{stage="inspect"} 4\n'
    )


def test_metrics_without_labels_are_there_from_the_start() -> None:
    """A counter that has not counted yet is 0, not absent: rate() needs the first sample."""
    registry = Registry()
    registry.counter("edge_lost_total", "Lost.")
    registry.histogram("edge_s", "S.", buckets=(1.0,))
    text = registry.render()
    assert "\nedge_lost_total 0\n" in text
    assert "\nedge_s_count 0\n" in text


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9), max_size=30))
def test_a_histogram_counts_every_value_exactly_once(values: list[float]) -> None:
    """Buckets never fall, the last equals the count, and each bucket holds what is at or below its bound."""
    registry = Registry()
    histogram = registry.histogram("h", "H.", buckets=(-10.0, 0.0, 10.0))
    for value in values:
        histogram.observe(value)
    lines = dict(line.rsplit(" ", 1) for line in registry.render().splitlines() if not line.startswith("#"))
    counts = [int(lines[f'h_bucket{{le="{bound}"}}']) for bound in ("-10", "0", "10", "+Inf")]
    assert counts == [sum(value <= bound for value in values) for bound in (-10, 0, 10, float("inf"))]
    assert int(lines["h_count"]) == len(values)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e300, 0.1, -0.0, 2**60])
def test_every_number_is_written_so_that_it_is_read_back(value: float) -> None:
    """Infinite and undefined values have names of their own in the format."""
    registry = Registry()
    registry.gauge("g", "G.").set(value)
    written = registry.render().splitlines()[-1].split(" ")[1]
    read = float(written.replace("Inf", "inf"))
    assert read == value or (read != read and value != value)  # noqa: PLR0124  (NaN)


def test_threads_lose_no_count() -> None:
    """Callers need no lock of their own."""
    counter = Registry().counter("c_total", "C.", ("who",))
    threads = [threading.Thread(target=lambda: [counter.inc(who="x") for _ in range(5_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value(who="x") == 20_000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.counter("edge_parts", "x"), "ends in _total"),
        (lambda r: r.gauge("edge-parts", "x"), "not a metric name"),
        (lambda r: r.gauge("g", "x", ("__a",)), "not a label name"),
        (lambda r: r.histogram("h", "x", ("le",)), "not a label name"),
        (lambda r: r.histogram("h", "x", buckets=(2.0, 1.0)), "ascending"),
        (lambda r: (r.gauge("g", "x"), r.gauge("g", "x")), "already"),
        (lambda r: r.counter("c_total", "x").inc(-1), "cannot go down"),
        (lambda r: r.gauge("g", "x", ("a",)).set(1), "has the labels"),
        (lambda r: r.gauge("g", "x").set(1, a="b"), "has the labels"),
    ],
)
def test_what_prometheus_would_refuse_is_refused_here(call, words: str) -> None:
    """A wrong name or label is a defect in our code and shows at once, not in the plant's dashboards."""
    with pytest.raises(ValueError, match=words):
        call(Registry())
