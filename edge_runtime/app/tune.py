"""Which engine, precision and number of threads is fastest for a bundle here, golden scores being the condition."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_runtime.app.inspection import inspector_of
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.domain.errors import BundleError, EngineError, ImageError
from edge_runtime.engine.feeds import usable_cores
from edge_runtime.engine.inventory import available_engines, precisions_of
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.bundles.archive import OpenBundle
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.ops.clock import Clock

_FIRST_RUNS: Final = 12
_FINALISTS: Final = 3
_ROUNDS: Final = 8
_RUNS_PER_ROUND: Final = 5
_AS_FAST: Final = 1.05
"""Within this of the fastest, fewer threads are better: the camera and the encoder need cores, too."""
_MANY_CORES: Final = 4


@dataclass(slots=True)
class Trial:
    """One way to run the bundle."""

    settings: EngineSettings
    description: str = ""
    """Of the engine, as it calls itself."""
    refused: str = ""
    """Why it may not run the bundle; empty: it may."""
    spent_ns: list[int] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        """Median of an inspection."""
        return statistics.median(self.spent_ns) / 1e6


def candidates(settings: EngineSettings) -> list[EngineSettings]:
    """Every way that this machine offers, within what the configuration fixes.

    Raises:
        EngineError: no engine can be used at all.
    """
    fixed = settings.model_fields_set
    found = []
    for report in available_engines():
        other = settings.name not in {"auto", report.name}
        if other or not report.usable or (settings.provider != "cpu" and report.name != "onnxruntime"):
            continue
        devices = (settings.device,) if "device" in fixed or report.name == "onnxruntime" else report.devices
        for device in devices:
            on_cpu = device == "CPU"
            threads = (settings.threads,) if "threads" in fixed or not on_cpu else _threads(usable_cores())
            offered = (settings.precision,) if "precision" in fixed else precisions_of(report.name, device)
            found += [
                settings.model_copy(
                    update={
                        "name": report.name,
                        "device": device,
                        "threads": count,
                        "precision": precision,
                        "tuned": None,
                    }
                )
                for precision in offered
                for count in threads
            ]
    if not found:
        raise EngineError("no engine can be tuned here", "Run `edge-runtime doctor`; it says what each engine lacks.")
    return found


def tune(
    open_bundle: Callable[[], OpenBundle],
    settings: EngineSettings,
    clock: Clock,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Try every candidate, one loaded at a time; then the fastest few in turns, so that a busy moment hits all alike.

    Args:
        open_bundle: opens it anew for each candidate.
        settings: what the configuration fixes stays.
        clock: for timing.
        on_trial: called after each candidate's first look.

    Returns:
        Those that may run the bundle, best first, then the refused.

    Raises:
        EngineError: none may run it.
        BundleError: the bundle cannot be opened, or has no golden images.
    """
    trials = []
    for candidate in candidates(settings):
        trials.append(_first_look(open_bundle, candidate, clock))
        on_trial(trials[-1])
    sound = sorted((trial for trial in trials if not trial.refused), key=lambda trial: trial.p50_ms)
    refused = [trial for trial in trials if trial.refused]
    if not sound:
        raise EngineError(
            f"no engine of this machine may run the bundle: {refused[0].description}: {refused[0].refused}",
            "Convert the bundle for an engine of this machine.",
        )
    _final(open_bundle, sound[:_FINALISTS], clock)
    return [*ranked(sound[:_FINALISTS]), *sound[_FINALISTS:], *refused]


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Best first: of those about as fast as the fastest, the one with the fewest threads."""
    fastest_ms = min(trial.p50_ms for trial in trials)
    return sorted(
        trials,
        key=lambda trial: (
            (0, trial.settings.threads, trial.p50_ms) if trial.p50_ms <= fastest_ms * _AS_FAST else (1, 0, trial.p50_ms)
        ),
    )


def _threads(cores: int) -> tuple[int, ...]:
    if cores <= _MANY_CORES:
        return tuple(range(1, cores + 1))
    doubled = [1 << power for power in range(cores.bit_length()) if 1 << power < cores]
    return (*doubled, cores)


def _first_look(open_bundle: Callable[[], OpenBundle], settings: EngineSettings, clock: Clock) -> Trial:
    trial = Trial(settings, f"{settings.name}, {settings.device}, {settings.precision}, {settings.threads} thread(s)")
    opened = open_bundle()
    if not opened.manifest.golden:
        opened.close()
        raise BundleError(
            f"bundle {opened.manifest.identity.name} carries no golden images, so nothing proves an engine right",
            "Convert it again with this version.",
        )
    try:
        with inspector_of(opened, settings) as inspector:
            trial.description = inspector.engine_description
            report = golden_self_test(
                inspector.detector, inspector.bundle, inspector.payloads, inspector.engine_description
            )
            if not report.passed:
                trial.refused = report.summary
                return trial
            _time(inspector, _frames(inspector), _FIRST_RUNS, trial, clock)
    except (BundleError, EngineError, ImageError) as error:
        trial.refused = error.what
    return trial


def _final(open_bundle: Callable[[], OpenBundle], trials: Sequence[Trial], clock: Clock) -> None:
    """The first look came one after the other; only these times count."""
    inspectors = [inspector_of(open_bundle(), trial.settings) for trial in trials]
    try:
        frames = _frames(inspectors[0])
        for trial in trials:
            trial.spent_ns.clear()
        for _ in range(_ROUNDS):
            for trial, inspector in zip(trials, inspectors, strict=True):
                _time(inspector, frames, _RUNS_PER_ROUND, trial, clock)
    finally:
        for inspector in inspectors:
            inspector.close()


def _frames(inspector: Inspector) -> list[tuple[Exposure, ...]]:
    count = int(inspector.bundle.parameters.get("exposures", 1))
    return [
        (decode_image(inspector.payloads.read(golden.payload)).array,) * count for golden in inspector.bundle.golden
    ]


def _time(inspector: Inspector, frames: Sequence[tuple[Exposure, ...]], count: int, trial: Trial, clock: Clock) -> None:
    inspector.inspect(frames[0])  # what another engine pushed out of the caches
    for number in range(count):
        started_ns = clock.monotonic_ns()
        inspector.inspect(frames[number % len(frames)])
        trial.spent_ns.append(clock.monotonic_ns() - started_ns)
