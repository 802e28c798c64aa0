"""Timing a bundle from a frame to its score, part by part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.bench.process import processor_ns
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_convert.bench.frames import BenchFrame
    from edge_convert.bench.process import EnergyMeter
    from edge_convert.bench.timed import Stopwatch
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import InputSpec

PERCENTILES: Final = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations in milliseconds."""

    count: int
    shortest: float
    """What it takes when nothing disturbs."""
    mean: float
    p50: float
    p90: float
    p99: float
    longest: float

    @classmethod
    def of(cls, values_ns: Sequence[int]) -> Spread:
        """Of one duration or more."""
        values = np.asarray(values_ns, dtype=np.float64) / 1e6
        p50, p90, p99 = (float(value) for value in np.percentile(values, PERCENTILES))
        return cls(len(values), float(values.min()), float(values.mean()), p50, p90, p99, float(values.max()))


@dataclass(slots=True)
class Timings:
    """Nanoseconds of every inspection, and of its parts. Lists of equal length, except `draw`."""

    verdict: list[int] = field(default_factory=list)
    """From the frame in memory (a JPEG's bytes, where frames come so) to the score."""
    decode: list[int] = field(default_factory=list)
    prepare: list[int] = field(default_factory=list)
    """Of the same frame once more by itself: the detector prepares inside `verdict`."""
    graphs: dict[int, list[int]] = field(default_factory=dict)
    """By the number of the graph."""
    processor: list[int] = field(default_factory=list)
    """Processor time within `verdict`, all threads."""
    draw: list[int] = field(default_factory=list)
    """Drawing the map afterwards, for parts that show it."""
    scores: list[float] = field(default_factory=list)

    def rest(self) -> list[int]:
        """What is left of each inspection: Python, copies, the score from the graphs' outputs."""
        known = [sum(parts) for parts in zip(self.decode, self.prepare, *self.graphs.values(), strict=True)]
        return [max(0, whole - part) for whole, part in zip(self.verdict, known, strict=True)]

    def spreads(self, names: Mapping[int, str]) -> dict[str, Spread]:
        """The parts by name, in the order of the inspection; `names` are the graphs'."""
        parts = {"decode": self.decode, "prepare": self.prepare}
        parts |= {names[number]: spent for number, spent in sorted(self.graphs.items())}
        parts |= {"rest": self.rest()}
        return {name: Spread.of(spent) for name, spent in parts.items() if any(spent)}


class Bench:
    """Inspects frames in turn, and remembers what that took."""

    def __init__(
        self,
        detector: Detector,
        frames: Sequence[BenchFrame],
        stopwatch: Stopwatch,
        graphs: int,
        energy: EnergyMeter | None = None,
    ) -> None:
        """Begin with the first frame.

        Args:
            graphs: how many the detector has loaded.
            energy: is to count the inspections, and nothing of what is measured behind each.
        """
        self._detector = detector
        self._energy = energy
        self._frames = frames
        self._stopwatch = stopwatch
        self._next = 0
        self._exposures = range(int(detector.bundle.parameters.get("exposures", 1)))
        """Of a part: the same frame so many times."""
        self.timings = Timings(graphs={number: [] for number in range(graphs)})
        height_px, width_px = frames[0].pixels.shape[:2]
        self.frame_px = width_px, height_px

    def run(self, count: int) -> None:
        """Inspect the next `count` frames.

        Raises:
            ImageError: a frame does not fit the bundle.
            EngineError: the engine failed.
        """
        for _ in range(count):
            self._inspect(self._frames[self._next % len(self._frames)], self._detector.bundle.input_spec)
            self._next += 1

    def _inspect(self, frame: BenchFrame, spec: InputSpec) -> None:
        clock, timings = self._stopwatch.now_ns, self.timings
        self._stopwatch.take()
        if self._energy is not None:
            self._energy.skip()
        before = processor_ns()
        started_ns = clock()
        exposures = [frame.pixels if frame.jpeg is None else decode_image(frame.jpeg).array for _ in self._exposures]
        decoded_ns = clock()
        detection = self._detector.inspect(tuple(exposures))
        ended_ns = clock()
        timings.processor.append(processor_ns() - before)
        if self._energy is not None:
            self._energy.update()
        timings.verdict.append(ended_ns - started_ns)
        timings.decode.append(decoded_ns - started_ns if frame.jpeg is not None else 0)
        timings.scores.append(detection.score)
        spent = self._stopwatch.take()
        for number, runs in timings.graphs.items():
            runs.append(spent.get(number, 0))
        drawn_ns = clock()
        if detection.anomaly_map is not None:
            timings.draw.append(clock() - drawn_ns)
        self._stopwatch.take()  # drawing may search once more
        prepared_ns = clock()
        if spec.tiles is None and spec.mask is None:  # those are cut first: part of the rest
            for pixels in exposures:
                prepare(pixels, spec)
        timings.prepare.append(clock() - prepared_ns)
