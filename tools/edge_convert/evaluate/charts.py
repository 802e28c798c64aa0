"""The report's charts as inline SVG. Colours come from the page's style, so they follow light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.evaluate.result import ImageFigures
    from edge_runtime.domain.verdict import Limits

_BINS = 48
_MOST_TICKS = 3

_Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Plot:
    """A plot's area inside its picture, and the way from values to picture units."""

    left: float
    top: float
    width: float
    height: float
    low: float
    high: float

    def x(self, value: float) -> float:
        return self.left + self.width * (value - self.low) / (self.high - self.low)


def score_histogram(good: Sequence[float], defect: Sequence[float], limits: Limits) -> Markup:
    """Good parts upwards, defective ones downwards, the two limits across both.

    Each half has its own scale of counts: a test set with a hundred times more good parts must not hide its defects.
    """
    values = [*good, *defect, limits.review, limits.reject]
    low, high = min(values), max(values)
    margin = (high - low) * 0.03 or max(abs(high), 1.0) * 0.05
    plot = _Plot(left=46, top=56, width=736, height=240, low=low - margin, high=high + margin)
    edges = np.linspace(plot.low, plot.high, _BINS + 1)
    up, down = np.histogram(good, edges)[0], np.histogram(defect, edges)[0]
    half, base = plot.height / 2, plot.top + plot.height / 2
    parts = [
        _band(plot, limits),
        *_count_ticks(plot, base, half, int(up.max()), -1),
        *_count_ticks(plot, base, half, int(down.max()), 1),
        *_bars(plot, up, base, half, -1),
        *_bars(plot, down, base, half, 1),
        _line(plot.left, base, plot.left + plot.width, base, "axis"),
        *_value_ticks(plot),
        *_limit_lines(plot, limits),
        # Good parts rarely score high and defects rarely low: their names stand where their bars do not.
        _text(plot.left + plot.width - 6, plot.top + 16, "good ▲", "good strong end"),
        _text(plot.left + 6, plot.top + plot.height - 6, "defect ▼", "defect strong"),
        _text(plot.left + plot.width / 2, plot.top + plot.height + 50, "score (higher is more anomalous)", "mid"),
    ]
    return _svg(800, 358, "Histogram of the scores of good and defective parts with the two limits", parts)


def roc(figures: ImageFigures) -> Markup:
    """The ROC with the point at which `fnr_at_fpr5` is read."""
    plot = _Plot(left=58, top=14, width=300, height=300, low=0.0, high=1.0)
    bottom = plot.top + plot.height
    corners = zip(figures.roc.false_positive_rate, figures.roc.true_positive_rate, strict=True)
    points = " ".join(f"{plot.x(x):.2f},{bottom - plot.height * y:.2f}" for x, y in corners)
    ticks = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        height = bottom - plot.height * tick
        ticks += [
            _line(plot.left, height, plot.left + plot.width, height, "grid"),
            _line(plot.x(tick), plot.top, plot.x(tick), bottom, "grid"),
            _text(plot.left - 6, height + 4, f"{tick:.0%}", "end"),
            _text(plot.x(tick), bottom + 17, f"{tick:.0%}", "mid"),
        ]
    parts = [
        *ticks,
        _line(plot.left, bottom, plot.left + plot.width, plot.top, "chance"),
        _line(plot.x(0.05), plot.top, plot.x(0.05), bottom, "limit"),
        f'<polyline class="roc" points="{points}"/>',
        _text(plot.x(0.05) + 8, bottom - 10, "5 % false alarms", "start"),
        _text(plot.left + plot.width - 6, bottom - 10, f"AUROC {figures.auroc:.4f}", "end strong"),
        _text(plot.left + plot.width / 2, bottom + 36, "good parts flagged", "mid"),
        f'<text class="mid" transform="translate(11 {plot.top + plot.height / 2}) rotate(-90)">defects found</text>',
    ]
    return _svg(380, 358, f"ROC curve, AUROC {figures.auroc:.4f}", parts)


def _bars(plot: _Plot, counts: _Counts, base: float, half: float, direction: int) -> list[str]:
    """Bars of one kind; its tallest fills its half."""
    width, unit = plot.width / _BINS, half / max(int(counts.max()), 1)
    css = "good" if direction < 0 else "defect"
    return [
        _rect(plot.left + index * width + 0.5, base - unit * count * (direction < 0), width - 1, unit * count, css)
        for index, count in enumerate(counts.tolist())
        if count
    ]


def _count_ticks(plot: _Plot, base: float, half: float, tallest: int, direction: int) -> list[str]:
    """Up to three round counts from the middle outwards."""
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    step = next(step for step in steps if tallest / step < _MOST_TICKS + 1)
    ticks = []
    for count in range(step, tallest + 1, step):
        y = base + direction * half * count / tallest
        ticks += [
            _line(plot.left, y, plot.left + plot.width, y, "grid"),
            _text(plot.left - 6, y + 4, str(count), "end"),
        ]
    return ticks


def _value_ticks(plot: _Plot) -> list[str]:
    """Four to nine round numbers along the score axis."""
    span = plot.high - plot.low
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = max(factor * power for factor in (1, 2, 5) if factor * power <= span / 4)
    first, last = math.ceil(plot.low / step), math.floor(plot.high / step)
    digits = max(0, -math.floor(math.log10(step)))
    bottom = plot.top + plot.height
    return [_text(plot.x(at * step), bottom + 24, f"{at * step:.{digits}f}", "mid") for at in range(first, last + 1)]


def _band(plot: _Plot, limits: Limits) -> str:
    width = max(plot.x(limits.reject) - plot.x(limits.review), 0.0)
    return _rect(plot.x(limits.review), plot.top, width, plot.height, "band")


def _limit_lines(plot: _Plot, limits: Limits) -> list[str]:
    """The limits, with their names outwards so that they never overlap."""
    review, reject = plot.x(limits.review), plot.x(limits.reject)
    bottom = plot.top + plot.height
    at_left, at_right = review < plot.left + 150, reject > plot.left + plot.width - 150
    return [
        _line(review, plot.top - 6, review, bottom, "limit"),
        _line(reject, plot.top - 6, reject, bottom, "limit"),
        _text(
            review + (0 if at_left else -4),
            20 if at_left else 46,
            f"PASS ≤ {limits.review:.4g}",
            "start" if at_left else "end",
        ),
        _text(
            reject + (0 if at_right else 4),
            20 if at_right else 46,
            f"REJECT > {limits.reject:.4g}",
            "end" if at_right else "start",
        ),
    ]


def _rect(x: float, y: float, width: float, height: float, css: str) -> str:
    return f'<rect class="{css}" x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.2f}" y="{y:.2f}">{text}</text>'


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    # Every part is made above from numbers and constants: no text from outside gets in unescaped.
    head = f'<svg role="img" aria-label="{title}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704
