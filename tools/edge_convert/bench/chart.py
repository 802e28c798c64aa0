"""The figures as one picture: bars as long as their medians, a thin line to the 99th percentile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from edge_convert.bench.measure import Spread
    from edge_convert.bench.result import BenchResult
    from edge_runtime.vision.display import Picture

    Colour = tuple[int, int, int]

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_SCALE: Final = 0.5
_WIDTH_PX: Final = 1100
_LEFT_PX: Final = 330
_RIGHT_PX: Final = 190
_ROW_PX: Final = 34
_HEAD_PX: Final = 92
_FOOT_PX: Final = 34
_INK: Final[Colour] = (32, 32, 36)
_PALE: Final[Colour] = (120, 120, 128)
_WHOLE: Final[Colour] = (0, 104, 181)
_PARTS: Final[tuple[Colour, ...]] = (
    (86, 180, 233),
    (0, 158, 115),
    (230, 159, 0),
    (204, 121, 167),
    (213, 94, 0),
    (150, 150, 150),
)
"""Okabe and Ito's, which the colour-blind can tell apart."""
_OTHER: Final[Colour] = (190, 190, 196)


@dataclass(frozen=True, slots=True)
class _Bar:
    title: str
    pieces: tuple[tuple[float, tuple[int, int, int]], ...]
    """Lengths in milliseconds, with their colours."""
    tail_ms: float
    """The thin line ends here."""
    note: str


def picture(result: BenchResult) -> bytes:
    """A PNG."""
    bars = _bars(result)
    longest = max(bar.tail_ms for bar in bars)
    page: Picture = np.full((_HEAD_PX + _ROW_PX * len(bars) + _FOOT_PX, _WIDTH_PX, 3), 255, dtype=np.uint8)
    _head(page, result)
    for number, bar in enumerate(bars):
        _draw(page, bar, _HEAD_PX + number * _ROW_PX, longest)
    legend = "bar: median; line: 99th percentile; milliseconds from a frame in memory to its score"
    _write(page, legend, 16, page.shape[0] - 12, _PALE)
    return encode_png(page)


def _bars(result: BenchResult) -> list[_Bar]:
    whole = _bar("this bundle", result.verdict, _WHOLE)
    parts = [
        _bar(f"  {name}", spread, _PARTS[number % len(_PARTS)])
        for number, (name, spread) in enumerate(result.parts.items())
    ]
    bars = [whole, *parts]
    if result.draw is not None:
        bars.append(_bar("  map, afterwards", result.draw, _OTHER))
    if result.engine_tool is not None:
        graphs = tuple(
            (value, _PARTS[(number + 1) % len(_PARTS)]) for number, value in enumerate(result.engine_tool.values())
        )
        total = sum(result.engine_tool.values())
        ratio = "" if result.engine_tool_ratio is None else f", we take {result.engine_tool_ratio.median:.2f}x"
        bars.append(_Bar("benchmark_app, same graphs", graphs, total, f"{total:.2f}{ratio}"))
    bars += [
        _Bar(
            peer.name,
            ((peer.spread.p50, _OTHER),),
            peer.spread.p99,
            f"{peer.spread.p50:.1f} = {peer.ratio.median:.1f} x ours",
        )
        for peer in result.peers
    ]
    return bars


def _bar(title: str, spread: Spread, colour: Colour) -> _Bar:
    return _Bar(title, ((spread.p50, colour),), spread.p99, f"{spread.p50:.2f}, p99 {spread.p99:.2f}")


def _head(page: Picture, result: BenchResult) -> None:
    width, height = result.frame_px
    _write(
        page,
        f"{result.bundle} ({result.kind}): {result.verdict.p50:.2f} ms, "
        f"{result.parts_per_s:.0f} parts per second, {width} x {height} {result.frames}",
        16,
        28,
        _INK,
        0.62,
    )
    machine = result.machine
    limits = " ".join(f"{name}={value}" for name, value in result.environment.items())
    _write(page, f"{result.engine} {limits}", 16, 52, _PALE)
    _write(page, f"{machine.cpu}, {machine.cores} cores, {', '.join(machine.instruction_sets)}", 16, 72, _PALE)


def _draw(page: Picture, bar: _Bar, top: int, longest_ms: float) -> None:
    per_ms = (_WIDTH_PX - _LEFT_PX - _RIGHT_PX) / longest_ms
    middle = top + _ROW_PX // 2
    _write(page, _fitting(bar.title), 16, middle + 5, _INK)
    left = float(_LEFT_PX)
    for length_ms, colour in bar.pieces:
        right = left + length_ms * per_ms
        cv2.rectangle(page, (round(left), top + 6), (round(right), top + _ROW_PX - 8), colour, cv2.FILLED)
        left = right
    tail = round(_LEFT_PX + bar.tail_ms * per_ms)
    cv2.line(page, (round(left), middle - 1), (tail, middle - 1), _INK, 1, cv2.LINE_AA)
    _write(page, bar.note, max(tail, round(left)) + 8, middle + 5, _INK)


def _fitting(text: str) -> str:
    """The font knows ASCII only, and the column is narrow."""
    plain = text.encode("ascii", errors="replace").decode("ascii")
    while plain and cv2.getTextSize(plain, _FONT, _SCALE, 1)[0][0] > _LEFT_PX - 24:
        plain = plain[:-1]
    return plain


def _write(page: Picture, text: str, left: int, baseline: int, colour: Colour, scale: float = _SCALE) -> None:
    plain = text.encode("ascii", errors="replace").decode("ascii")
    cv2.putText(page, plain, (left, baseline), _FONT, scale, colour, 1, cv2.LINE_AA)
