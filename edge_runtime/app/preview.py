"""The live view for aiming, focusing and exposing: the line drops pictures into it, a browser on this machine looks.

The line's side is `PreviewFeed.offer`: it keeps a reference, five times a second at most, and never copies, draws or
encodes. Measuring, drawing and encoding happen in the local server's thread, once per picture and only while a browser
asks.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.app.evidence import shown_map
from edge_runtime.ops.cell import LatestValue
from edge_runtime.ops.server import Answer
from edge_runtime.vision.display import as_picture
from edge_runtime.vision.encode import encode_jpeg
from edge_runtime.vision.framing import map_window
from edge_runtime.vision.heatmap import overlay
from edge_runtime.vision.sharpness import sharpness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_runtime.domain.combination import Combined
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.verdict import Disposition, Reason
    from edge_runtime.ops.clock import Clock
    from edge_runtime.ops.server import Route

_INTERVAL_NS = 200_000_000
_LONGEST_SIDE_PX = 1_280
_QUALITY = 80
_FOCUS_SIDE_PX = 1_024
"""Sharpness is measured at full resolution in the middle of the frame, in a square of this size at most."""
_SAMPLED_PIXELS = 200_000
_DARKEST = 0.01
"""Below this part of full scale a pixel counts as black."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a part, for beside its heatmap."""

    disposition: Disposition
    reason: Reason
    score: float | None

    def as_json(self) -> dict[str, str]:
        """For the page; no score is an empty text."""
        is_number = self.score is not None and math.isfinite(self.score)
        return {
            "verdict": self.disposition,
            "reason": self.reason,
            "score": f"{self.score:.4g}" if is_number else "",
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture that the line let go of."""

    number: int
    """Counts the samples; first is 1."""
    pixels: Exposure
    anomaly_map: MapSource | None
    taken_ns: int
    bundle: ModelBundle | None = None
    """Whose map it is."""
    combined: Combined | None = None
    """What each model said, where several are combined."""
    said: Said | None = None
    """The verdict; None where nothing judges."""


class PreviewFeed:
    """From the line to whoever watches. `offer` is called by one thread, `newest` and `newest_map` by another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_ns = 0
        self._count = 0
        self._newest: LatestValue[Sample] = LatestValue()
        self._newest_map: LatestValue[Sample] = LatestValue()

    def offer(
        self,
        frame_pixels: Exposure,
        anomaly_map: MapSource | None,
        bundle: ModelBundle | None = None,
        combined: Combined | None = None,
        said: Said | None = None,
    ) -> None:
        """Show this frame, unless one was shown less than 200 ms ago. Costs microseconds; both arrays stay as they are.

        Args:
            frame_pixels: an exposure, read-only: it is looked at later, without a copy.
            anomaly_map: what the detector found in it; None where there is no map.
            bundle: of that detector: it says how its map is drawn.
            combined: what each model said, where several are combined.
            said: what came of it.
        """
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + _INTERVAL_NS
        self._count += 1
        sample = Sample(self._count, frame_pixels, anomaly_map, now_ns, bundle, combined, said)
        self._newest.put(sample)
        if anomaly_map is not None:
            self._newest_map.put(sample)

    def newest(self) -> Sample | None:
        """The newest sample; None before the first."""
        return self._newest.peek()

    def newest_map(self) -> Sample | None:
        """The newest sample with an anomaly map; None before the first."""
        return self._newest_map.peek()


@dataclass(frozen=True, slots=True)
class Figures:
    """What helps to focus and to expose."""

    sharpness: float
    bright_percent: float
    """Pixels at full scale: their detail is lost."""
    dark_percent: float
    """Pixels in which nothing can be seen."""
    mean_percent: float


def measure(pixels: Exposure) -> Figures:
    """Figures of a frame; bounded work whatever its size."""
    height, width = pixels.shape[:2]
    side_y, side_x = min(height, _FOCUS_SIDE_PX), min(width, _FOCUS_SIDE_PX)
    middle = ((width - side_x) // 2, (height - side_y) // 2, side_x, side_y)
    step = max(1, int((height * width / _SAMPLED_PIXELS) ** 0.5))
    sampled = pixels[::step, ::step]
    full_scale = _full_scale(sampled)
    return Figures(
        sharpness=sharpness(pixels, middle),
        bright_percent=100.0 * float(np.mean(sampled >= full_scale)),
        dark_percent=100.0 * float(np.mean(sampled <= full_scale * _DARKEST)),
        mean_percent=100.0 * float(np.mean(sampled)) / full_scale,
    )


def _full_scale(pixels: Exposure) -> int:
    """255, or for 16 bits the largest value of the camera's real depth (a 12-bit camera ends at 4095)."""
    if pixels.dtype == np.uint8:
        return 255
    return int((1 << max(int(pixels.max(initial=0)).bit_length(), 8)) - 1)


def _said(combined: Combined | None) -> list[str]:
    """One line for each model that looked; none where there is one model only."""
    if combined is None:
        return []
    return [
        f"{look.bundle.name} {look.bundle.version}: "
        + (look.detail if look.score is None else f"{look.disposition}, {look.score:.4g}")
        for look in combined.looks
    ]


class PreviewPages:
    """The preview's pages. All run in the local server's thread.

    Args:
        feed: where the line drops its pictures.
        clock: for a picture's age.
        bundle: the one that looks now, None where there is none: its trust is shown beside the heatmap.
        state: one line about the camera, shown in the page.
    """

    def __init__(
        self,
        feed: PreviewFeed,
        clock: Clock,
        bundle: Callable[[], ModelBundle | None],
        state: Callable[[], str] = str,
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._bundle = bundle
        self._state = state
        self._page = resources.files(__package__).joinpath("preview.html").read_bytes()
        self._measured: tuple[int, Figures] | None = None
        self._encoded: dict[str, tuple[int, bytes]] = {}

    def routes(self) -> Mapping[str, Route]:
        """To be merged into the local server's routes."""
        return {
            "/preview": lambda _query: Answer(HTTPStatus.OK, "text/html; charset=utf-8", self._page),
            "/preview/frame.jpg": self._frame,
            "/preview/heatmap.jpg": self._heatmap,
            "/preview/figures": self._figures,
        }

    def _figures(self, _query: str) -> Answer:
        sample, mapped, bundle = self._feed.newest(), self._feed.newest_map(), self._bundle()
        answer: dict[str, Any] = {
            "state": self._state(),
            "trust": "" if bundle is None else bundle.identity.trust,
            "frame": 0,
            "heatmap": 0 if mapped is None else mapped.number,
        }
        if mapped is not None and mapped.said is not None:
            answer |= mapped.said.as_json()
        if sample is not None:
            if self._measured is None or self._measured[0] != sample.number:
                self._measured = sample.number, measure(sample.pixels)
            figures = self._measured[1]
            answer |= {
                "frame": sample.number,
                "age_ms": (self._clock.monotonic_ns() - sample.taken_ns) // 1_000_000,
                "height_px": sample.pixels.shape[0],
                "width_px": sample.pixels.shape[1],
                "sharpness": round(figures.sharpness, 2),
                "bright_percent": round(figures.bright_percent, 2),
                "dark_percent": round(figures.dark_percent, 2),
                "mean_percent": round(figures.mean_percent, 1),
                "models": _said(sample.combined),
            }
        return Answer(HTTPStatus.OK, "application/json", json.dumps(answer).encode())

    def _frame(self, _query: str) -> Answer:
        return self._jpeg("frame", self._feed.newest(), lambda sample: as_picture(sample.pixels, _LONGEST_SIDE_PX))

    def _heatmap(self, _query: str) -> Answer:
        return self._jpeg("heatmap", self._feed.newest_map(), self._overlay)

    def _overlay(self, sample: Sample) -> Exposure:
        anomaly_map = shown_map(sample.anomaly_map)
        if anomaly_map is None or sample.bundle is None:
            return as_picture(sample.pixels, _LONGEST_SIDE_PX)
        window = map_window(sample.bundle.input_spec, sample.pixels)
        return overlay(sample.pixels, anomaly_map, sample.bundle.calibration.map_range, window, _LONGEST_SIDE_PX)

    def _jpeg(self, kind: str, sample: Sample | None, draw: Callable[[Sample], Exposure]) -> Answer:
        if sample is None:
            return Answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"no picture yet\n")
        number, content = self._encoded.get(kind, (0, b""))
        if number != sample.number:
            content = encode_jpeg(draw(sample), _QUALITY)
            self._encoded[kind] = sample.number, content
        return Answer(HTTPStatus.OK, "image/jpeg", content)
