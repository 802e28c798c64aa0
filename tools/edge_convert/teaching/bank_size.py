"""How large a memory bank is worth its time: accuracy on held-out parts against search latency on this engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.coreset import greedy_coreset
from edge_convert.defects import LOCAL_KINDS
from edge_convert.evaluate.metrics import image_auroc
from edge_convert.features import FeatureExtractor
from edge_convert.search_graph import SearchBank, bank_of
from edge_runtime.bundles.writer import MemoryPayloads, manifest_of
from edge_runtime.detectors.patchcore_search import create_search

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edge_convert.coreset import CandidatePatches
    from edge_convert.draft import PatchCoreParts
    from edge_convert.progress import Observer
    from edge_convert.teaching.material import Material
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.ops.clock import Clock

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

SIZES: Final = (250, 500, 1_000, 2_000, 4_000, 8_000)

_HELD_OUT_SHARE: Final = 0.2
_HELD_OUT_MOST: Final = 48
_HELD_OUT_LEAST: Final = 16
"""Fewer say nothing, so that of few images up to half is held out."""
_DEFECTS_PER_IMAGE: Final = 2
_PLANTED_SEED: Final = 11_000
_RESAMPLES: Final = 200
_TIMED_RUNS: Final = 7


@dataclass(frozen=True, slots=True)
class SizeTrial:
    """One size, tried."""

    size: int
    auroc: float
    """Held-out good parts against the same parts with planted defects."""
    auroc_behind: tuple[float, float]
    """How far behind the best size, and the standard error of that difference."""
    separation: float
    """Mean logarithm of the defects' scores above that of the good ones', in standard deviations of the good ones."""
    separation_behind: tuple[float, float]
    search_ms: float
    """Per part, on the engine that taught."""

    @property
    def within_noise(self) -> bool:
        """No farther behind the best than one standard error, by either measure."""
        return all(behind <= noise for behind, noise in (self.auroc_behind, self.separation_behind))

    def __str__(self) -> str:
        return f"{self.size}: AUROC {self.auroc:.3f}, separation {self.separation:.2f}"


@dataclass(frozen=True, slots=True)
class BankSize:
    """The size that was chosen, and what was tried."""

    size: int
    reason: str
    trials: tuple[SizeTrial, ...]
    warnings: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """For the bundle; without milliseconds, for equal inputs make equal bundles."""
        return f"{self.reason}; tried {', '.join(str(trial) for trial in self.trials)}"


def choose_size(
    parts: PatchCoreParts,
    candidates: CandidatePatches,
    material: Material,
    observer: Observer,
    clock: Clock,
    max_search_ms: float | None,
) -> BankSize:
    """The smallest bank whose accuracy cannot be told from the best one's.

    A fifth of the parts (16 to 48, at most half) is held out, as it is and with planted defects. The greedy coreset of
    the others is chosen once: its first so many patches are the coreset of every smaller size. Differences to the best
    size come with a standard error from resampled parts; the defects are on the very parts that are the good ones, so
    that the difference says more than either figure.

    Args:
        parts: of the bundle.
        candidates: patches of all parts.
        material: the parts.
        observer: who watches.
        clock: for the search.
        max_search_ms: sizes that need longer for a part are out; None: accuracy alone decides.
    """
    count = len(material.images.files)
    order = np.random.default_rng((material.options.seed, 4)).permutation(count)
    held = sorted(int(index) for index in order[: _held_out(count)])
    rows = candidates.rows_at(candidates.numbers_without(held))
    sizes = sorted({min(size, len(rows)) for size in SIZES})
    with observer.stage("a large memory bank", sizes[-1]) as stage:
        chosen = greedy_coreset(rows, sizes[-1], material.options.seed)
        stage.advance(sizes[-1])
    rows = rows[chosen]
    good, bad = _scores(parts, bank_of(rows), sizes, held, material, observer)
    patches = _patches_of_one(material.views.held_out(held[0]).exposure, parts, material)
    times = [_search_ms(rows[:size], patches, parts, material, clock) for size in sizes]
    return _judge(_trials(sizes, good, bad, times), max_search_ms)


def _held_out(count: int) -> int:
    return max(min(_HELD_OUT_LEAST, count // 2), min(_HELD_OUT_MOST, round(count * _HELD_OUT_SHARE)))


def _scores(
    parts: PatchCoreParts,
    bank: SearchBank,
    sizes: Sequence[int],
    held: Sequence[int],
    material: Material,
    observer: Observer,
) -> tuple[Doubles, Doubles]:
    """Logarithms of scores: images × sizes of the good parts, images × defects × sizes of the planted ones."""
    grid = (parts.grid_height, parts.grid_width)
    extractor = FeatureExtractor(material.engine.load(parts.features), parts.input_spec, parts.area.mask, grid)
    good = np.empty((len(held), len(sizes)))
    bad = np.empty((len(held), _DEFECTS_PER_IMAGE, len(sizes)))
    with observer.stage("bank sizes on held-out parts", len(held)) as stage:
        for turn, index in enumerate(held):
            frame, within = material.views.held_out(index)
            good[turn] = _at_sizes(extractor.patches(frame, within), bank, sizes)
            for number in range(_DEFECTS_PER_IMAGE):
                kind = turn * _DEFECTS_PER_IMAGE + number
                planted = material.area.plant(frame, material.options.seed + _PLANTED_SEED + kind, kind % LOCAL_KINDS)
                bad[turn, number] = _at_sizes(extractor.patches(planted, within), bank, sizes)
            stage.advance()
    return np.log(np.maximum(good, 1e-12)), np.log(np.maximum(bad, 1e-12))


def _at_sizes(patches: Floats, bank: SearchBank, sizes: Sequence[int]) -> list[float]:
    """The score against each size's bank: what is added can only bring patches nearer."""
    found: list[float] = []
    nearest = np.full(len(patches), np.inf, dtype=np.float32)
    start = 0
    for size in sizes:
        part = SearchBank(bank.origin, bank.columns[:, start:size], bank.norms[start:size])
        nearest = np.minimum(nearest, part.distances(patches))
        found.append(float(nearest.max()))
        start = size
    return found


def _patches_of_one(frame: Exposure, parts: PatchCoreParts, material: Material) -> Floats:
    """All patches of one piece of a frame."""
    extractor = FeatureExtractor(material.engine.load(parts.features), replace(parts.input_spec, mask=None))
    return np.ascontiguousarray(extractor.patches(frame)[: material.patches])


def _search_ms(rows: Floats, patches: Floats, parts: PatchCoreParts, material: Material, clock: Clock) -> float:
    """On a part that the bank has not seen: how long an exact search takes depends on what it is shown."""
    payloads = parts.search(rows)
    manifest = manifest_of(parts.draft(payloads), parts.payloads(payloads))
    search = create_search(manifest, MemoryPayloads(payloads.payloads), material.engine, material.patches)
    taken = []
    for _ in range(_TIMED_RUNS):
        started = clock.monotonic_ns()
        search.look(patches, None)
        taken.append(clock.monotonic_ns() - started)
    return float(np.median(taken)) / 1e6 * parts.area.count


def _trials(sizes: Sequence[int], good: Doubles, bad: Doubles, times: Sequence[float]) -> list[SizeTrial]:
    auroc, separation = _measures(good, bad)
    draw = np.random.default_rng(0)
    resampled = []
    for _ in range(_RESAMPLES):
        picked = draw.integers(len(good), size=len(good))
        resampled.append(_measures(good[picked], bad[picked]))
    behind = [
        _behind(values, np.array([again[which] for again in resampled]))
        for which, values in enumerate((auroc, separation))
    ]
    return [
        SizeTrial(size, float(auroc[at]), behind[0][at], float(separation[at]), behind[1][at], times[at])
        for at, size in enumerate(sizes)
    ]


def _measures(good: Doubles, bad: Doubles) -> tuple[Doubles, Doubles]:
    """AUROC and separation for each size."""
    flat = bad.reshape(-1, bad.shape[-1])
    auroc = [image_auroc(good[:, at].tolist(), flat[:, at].tolist()) for at in range(good.shape[1])]
    spread = np.maximum(good.std(axis=0), 1e-6)
    return np.array(auroc, dtype=np.float64), (flat.mean(axis=0) - good.mean(axis=0)) / spread


def _behind(values: Doubles, resampled: Doubles) -> list[tuple[float, float]]:
    best = int(np.argmax(values))
    noise = (resampled[:, [best]] - resampled).std(axis=0)
    return [(float(values[best] - value), float(error)) for value, error in zip(values, noise, strict=True)]


def _judge(trials: Sequence[SizeTrial], max_search_ms: float | None) -> BankSize:
    fast = [trial for trial in trials if max_search_ms is None or trial.search_ms <= max_search_ms]
    if not fast:
        reason = f"{trials[0].size} patches: the smallest bank, although its search takes longer than --max-search-ms"
        return BankSize(trials[0].size, reason, tuple(trials), (f"{reason}; a smaller --size makes it faster",))
    enough = next((trial for trial in fast if trial.within_noise), None)
    if enough is not None:
        reason = f"{enough.size} patches: the smallest bank within one standard error of the best"
        return BankSize(enough.size, reason, tuple(trials))
    largest = fast[-1]
    loss = f"AUROC {largest.auroc_behind[0]:.3f} and separation {largest.separation_behind[0]:.2f} behind the best"
    reason = f"{largest.size} patches: the largest bank under --max-search-ms"
    return BankSize(largest.size, reason, tuple(trials), (f"{reason}; {loss}",))
