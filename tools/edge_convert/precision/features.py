"""INT8 or float32: quantize, prove on defects that scores survive, time both, and choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.coreset import greedy_coreset
from edge_convert.defects import KINDS, plant_defect
from edge_convert.features import FeatureExtractor
from edge_convert.graphs import IMAGE
from edge_convert.precision.backbone_int8 import quantize
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from edge_convert.graphs import FeatureGraph
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer, Stage
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.engine.port import Engine, Graph
    from edge_runtime.ops.clock import Clock

    Floats = npt.NDArray[np.float32]

_CALIBRATION_IMAGES: Final = 48
_DEFECTS_PER_IMAGE: Final = 2
_BANK_IMAGES: Final = 12
_BANK_SIZE: Final = 500
_PROBES: Final = 30
_TIMED_RUNS: Final = 15
_MEDIAN_DRIFT_LIMIT: Final = 0.05
_LOWEST_RATIO: Final = 0.8
"""A defect must keep this share of its float32 score; with ranges taken from good images alone it fell to 0.1."""


@dataclass(frozen=True, slots=True)
class Parity:
    """INT8 score divided by float32 score, on images with planted defects."""

    median: float
    lowest: float
    highest: float
    images: int

    @property
    def holds(self) -> bool:
        """Near enough to 1."""
        return abs(self.median - 1) <= _MEDIAN_DRIFT_LIMIT and self.lowest >= _LOWEST_RATIO

    def __str__(self) -> str:
        return (
            f"INT8/float32 score ratio on {self.images} planted defects: median {self.median:.3f}, "
            f"from {self.lowest:.3f} to {self.highest:.3f}"
        )


@dataclass(frozen=True, slots=True)
class FeaturesChoice:
    """The features graph that goes into the bundle, and why."""

    model: bytes
    precision: str
    """"int8" or "fp32"."""
    parity: Parity | None
    fp32_ms: float | None
    int8_ms: float | None
    warnings: tuple[str, ...] = ()


def choose_features(
    graph: FeatureGraph,
    images: ImageSet,
    spec: InputSpec,
    engine: Engine,
    clock: Clock,
    observer: Observer,
    *,
    int8: bool,
    seed: int,
) -> FeaturesChoice:
    """Take INT8 if it is wanted, keeps the scores of defects, and is faster here; else float32, with a warning.

    Raises:
        EngineError: the engine cannot run the graph.
    """
    plain = bytes(graph.model.SerializeToString())
    if not int8:
        return FeaturesChoice(plain, "fp32", None, None, None)
    chosen = _spread(len(images.files), _CALIBRATION_IMAGES)
    with observer.stage("calibrating INT8", len(chosen) * (1 + _DEFECTS_PER_IMAGE)) as stage:
        quantized = quantize(graph, _calibration(images, chosen, spec, seed, stage))
    fast, exact = engine.load(quantized), engine.load(plain)
    with observer.stage("INT8 against float32 on defects", _BANK_IMAGES + _PROBES) as stage:
        parity = _compare(images, spec, FeatureExtractor(fast, spec), FeatureExtractor(exact, spec), seed, stage)
    fp32_ms, int8_ms = _time(exact, fast, prepare(images.load(0), spec), clock)
    if not parity.holds:
        refusal = f"{parity}: INT8 would misjudge them, so the bundle stays in float32"
        return FeaturesChoice(plain, "fp32", parity, fp32_ms, int8_ms, (refusal,))
    if int8_ms >= fp32_ms:
        # No milliseconds here: the warning goes into the bundle, and equal inputs make equal bundles.
        refusal = "INT8 is not faster than float32 on the machine and engine that taught this: it stays in float32"
        return FeaturesChoice(plain, "fp32", parity, fp32_ms, int8_ms, (refusal,))
    return FeaturesChoice(quantized, "int8", parity, fp32_ms, int8_ms)


def _spread(count: int, wanted: int) -> list[int]:
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, wanted)).round()})


def _calibration(
    images: ImageSet, chosen: list[int], spec: InputSpec, seed: int, stage: Stage
) -> Iterator[npt.NDArray[np.uint8]]:
    for turn, index in enumerate(chosen):
        exposure = images.load(index)
        yield prepare(exposure, spec)
        stage.advance()
        for defect in range(_DEFECTS_PER_IMAGE):
            kind = turn * _DEFECTS_PER_IMAGE + defect
            yield prepare(plant_defect(exposure, seed + index, kind, spec.region), spec)
            stage.advance()


def _compare(
    images: ImageSet, spec: InputSpec, fast: FeatureExtractor, exact: FeatureExtractor, seed: int, stage: Stage
) -> Parity:
    """Score defects on both sides against a bank of the same patches, so that only the numbers differ."""
    count = len(images.files)
    banked = _spread(count, _BANK_IMAGES)
    fast_rows, exact_rows = [], []
    for index in banked:
        exposure = images.load(index)
        fast_rows.append(fast.patches(exposure))
        exact_rows.append(exact.patches(exposure))
        stage.advance()
    fast_all, exact_all = np.concatenate(fast_rows), np.concatenate(exact_rows)
    kept = greedy_coreset(exact_all, _BANK_SIZE, seed)
    fast_bank, exact_bank = fast_all[kept], exact_all[kept]
    ratios = []
    for probe in range(_PROBES):
        exposure = plant_defect(images.load(probe * 7 % count), seed + 1_000 + probe, probe % len(KINDS), spec.region)
        reference = _largest_distance(exact.patches(exposure), exact_bank)
        if reference > 0:
            ratios.append(_largest_distance(fast.patches(exposure), fast_bank) / reference)
        stage.advance()
    if not ratios:
        return Parity(float("nan"), float("nan"), float("nan"), 0)
    return Parity(float(np.median(ratios)), float(min(ratios)), float(max(ratios)), len(ratios))


def _largest_distance(patches: Floats, bank: Floats) -> float:
    origin = bank.mean(axis=0)
    rows, centres = patches - origin, bank - origin
    squared = np.einsum("ij,ij->i", rows, rows)[:, np.newaxis] - 2 * rows @ centres.T
    squared += np.einsum("ij,ij->i", centres, centres)
    return float(np.sqrt(max(0.0, float(squared.min(axis=1).max()))))


def _time(exact: Graph, fast: Graph, image: npt.NDArray[np.uint8], clock: Clock) -> tuple[float, float]:
    """Median milliseconds of both, run in turn so that a busy machine slows both alike."""
    times: tuple[list[int], list[int]] = ([], [])
    outputs = [exact.outputs[0].name]
    for _ in range(_TIMED_RUNS):
        for graph, taken in zip((exact, fast), times, strict=True):
            started = clock.monotonic_ns()
            graph.run({IMAGE: image}, outputs)
            taken.append(clock.monotonic_ns() - started)
    return float(np.median(times[0])) / 1e6, float(np.median(times[1])) / 1e6
