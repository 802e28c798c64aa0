"""Counters, gauges and histograms in Prometheus' text exposition format 0.0.4; every call is thread-safe."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class _Family:
    """What all metrics share: a name, declared labels and a lock of their own."""

    type_name: ClassVar[str]
    reserved_labels: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        if not _METRIC_NAME.fullmatch(name):
            message = f"not a metric name: {name!r}"
            raise ValueError(message)
        for label in labels:
            if not _LABEL_NAME.fullmatch(label) or label in self.reserved_labels:
                message = f"not a label name: {label!r}"
                raise ValueError(message)
        self.name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._lock = threading.Lock()

    def _key(self, labels: dict[str, str]) -> tuple[str, ...]:
        if labels.keys() != set(self._labels):
            message = f"{self.name} has the labels {self._labels}, got {tuple(labels)}"
            raise ValueError(message)
        return tuple(str(labels[label]) for label in self._labels)

    def _pairs(self, key: tuple[str, ...], *more: tuple[str, str]) -> str:
        pairs = [*zip(self._labels, key, strict=True), *more]
        return "{" + ",".join(f'{label}="{_escape(value)}"' for label, value in pairs) + "}" if pairs else ""

    def render(self) -> Iterator[str]:
        """The lines of this family, comments first."""
        escaped = self._help.replace("\\", "\\\\").replace("\n", "\\n")
        yield f"# HELP {self.name} {escaped}"
        yield f"# TYPE {self.name} {self.type_name}"
        yield from self._samples()

    def _samples(self) -> Iterator[str]:
        raise NotImplementedError


class _Scalar(_Family):
    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        super().__init__(name, help_text, labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def value(self, **labels: str) -> float:
        """The current value; 0 where nothing was recorded yet."""
        key = self._key(labels)
        with self._lock:
            return self._values.get(key, 0.0)

    def _add(self, amount: float, labels: dict[str, str]) -> None:
        key = self._key(labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def _samples(self) -> Iterator[str]:
        with self._lock:
            values = dict(self._values)
        for key, value in values.items():
            yield f"{self.name}{self._pairs(key)} {_number(value)}"


class Counter(_Scalar):
    """Only goes up; its name ends in `_total`."""

    type_name = "counter"

    def inc(self, amount: float = 1.0, **labels: str) -> None:
        """Count `amount` (≥ 0) more."""
        if amount < 0:
            message = f"{self.name} cannot go down"
            raise ValueError(message)
        self._add(amount, labels)


class Gauge(_Scalar):
    """Goes up and down."""

    type_name = "gauge"

    def set(self, value: float, **labels: str) -> None:
        """Replace the value."""
        key = self._key(labels)
        with self._lock:
            self._values[key] = float(value)

    def inc(self, amount: float = 1.0, **labels: str) -> None:
        """Add `amount`, which may be negative."""
        self._add(amount, labels)


class Histogram(_Family):
    """Counts observations in buckets; `buckets` are upper bounds, ascending, without infinity."""

    type_name = "histogram"
    reserved_labels = frozenset({"le"})

    def __init__(self, name: str, help_text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        super().__init__(name, help_text, labels)
        if not buckets or list(buckets) != sorted(set(buckets)):
            message = f"{name} needs ascending buckets"
            raise ValueError(message)
        self._bounds = tuple(float(bound) for bound in buckets)
        self._series: dict[tuple[str, ...], tuple[list[int], float]] = {}
        if not labels:
            self._series[()] = (self._no_counts(), 0.0)

    def _no_counts(self) -> list[int]:
        return [0] * (len(self._bounds) + 1)

    def observe(self, value: float, **labels: str) -> None:
        """Record one observation, in the unit that the name ends in."""
        key = self._key(labels)
        with self._lock:
            counts, total = self._series.get(key) or (self._no_counts(), 0.0)
            counts[bisect_left(self._bounds, value)] += 1
            self._series[key] = (counts, total + value)

    def _samples(self) -> Iterator[str]:
        with self._lock:
            series = {key: (list(counts), total) for key, (counts, total) in self._series.items()}
        for key, (counts, total) in series.items():
            below = 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                below += count
                yield f"{self.name}_bucket{self._pairs(key, ('le', _number(bound)))} {below}"
            yield f"{self.name}_sum{self._pairs(key)} {_number(total)}"
            yield f"{self.name}_count{self._pairs(key)} {below}"


F = TypeVar("F", bound=_Family)


class Registry:
    """All metrics of one daemon."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._lock = threading.Lock()

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Register a counter. ValueError on a bad or taken name, here and below."""
        if not name.endswith("_total"):
            message = f"a counter's name ends in _total: {name!r}"
            raise ValueError(message)
        return self._register(Counter(name, help_text, labels))

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Register a gauge."""
        return self._register(Gauge(name, help_text, labels))

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS_S
    ) -> Histogram:
        """Register a histogram; the default buckets are for latencies in seconds."""
        return self._register(Histogram(name, help_text, labels, buckets))

    def _register(self, family: F) -> F:
        with self._lock:
            if family.name in self._families:
                message = f"{family.name} is registered already"
                raise ValueError(message)
            self._families[family.name] = family
        return family

    def render(self) -> str:
        """Everything, in the text exposition format 0.0.4."""
        with self._lock:
            families = list(self._families.values())
        return "".join(f"{line}\n" for family in families for line in family.render())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124  (NaN is the one value that differs from itself)
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
