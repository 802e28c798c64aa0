"""Which numbers a model computes with on the device: chosen by its verdicts and by the clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edge_convert.convert.source import SourceModel
    from edge_convert.progress import Observer
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.engine.port import Tensor
    from edge_runtime.ops.clock import Clock

Precision: TypeAlias = Literal["int8", "fp32", "fp16", "bf16"]
Route: TypeAlias = Literal["ort-qdq", "nncf", "plain", "hint"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How near a candidate comes to the reference."""

    holds: bool
    """It may become the bundle's model."""
    badness: float
    """0 is the reference itself; above 1 some limit is exceeded. NaN counts as infinite."""
    text: str
    """For a person: the figures behind it, the same for equal inputs."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An operation that stays in higher precision."""

    node: str
    op_type: str
    why: str
    """With its measured effect; the same for equal inputs."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model as a bundle could carry it."""

    precision: Precision
    route: Route
    """ort-qdq, nncf: who quantized. plain: the graph says all. hint: a float32 graph that the engine runs in bf16."""
    model: bytes
    """ONNX; float32 in and out as the source has it."""
    kept: tuple[Kept, ...] = ()
    """What was kept in higher precision because it cost parity."""
    floats: Literal["f32", "bf16"] = "f32"
    """In what the engine computes where the graph says float32: a setting of the engine."""

    @property
    def name(self) -> str:
        """For reports; int8+bf16 is INT8 whose float32 operations the engine computes in bf16."""
        return "int8+bf16" if (self.precision, self.floats) == ("int8", "bf16") else self.precision


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """The model that goes into the bundle, and why."""

    candidate: Candidate
    judgement: Judgement
    """Of this candidate. It may not hold where a precision was asked for, or where float32 itself does not."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Median per run on this machine, by precision. Never part of a bundle: equal inputs give equal bundles."""
    refused: tuple[str, ...] = ()
    """Every candidate that was not taken and why, in words without milliseconds."""


def engine_settings_for(candidate: Candidate, settings: EngineSettings) -> EngineSettings:
    """The settings under which this candidate is to be judged, timed and run: bf16 is a setting of the engine."""
    return settings if candidate.floats == "f32" else settings.model_copy(update={"precision": candidate.floats})


def choose_precision(
    source: SourceModel,
    calibration: Callable[[], Iterator[Tensor]],
    judge: Callable[[Candidate], Judgement],
    engine_settings: EngineSettings,
    clock: Clock,
    observer: Observer,
    wanted: str,
    *,
    even_if_slower: bool = False,
) -> PrecisionChoice:
    """Choose the precision of a model.

    Args:
        source: the float32 model.
        calibration: a fresh pass over prepared input tensors (`source.input_spec.tensor`), the same each time: good
            parts and planted defects. It is consumed one by one, none is kept.
        judge: compares a candidate with the reference, under `engine_settings_for(candidate, …)`. At most 24 calls
            by the searches, one for float32 and one for bf16 beside INT8.
        engine_settings: where the candidates are tried and timed.
        wanted: auto (INT8 if it keeps parity and is faster here, else float32), int8, fp32, fp16 or bf16.
        even_if_slower: with `wanted` int8: take it although float32 is faster here.

    Returns:
        With `auto` a choice that holds, unless float32 itself does not. A precision that was asked for comes back
        with its judgement even if that does not hold: the caller decides.

    Raises:
        ConfigError: `wanted` is unknown, is slower than float32 here, or cannot be had on this engine.
        EngineError: the engine is not there or cannot run the graph.
    """
    if source.engines:
        return _as_it_is(source, judge, wanted)
    # Heavy libraries: only where something is chosen.
    from edge_convert.precision.bench import Bench  # noqa: PLC0415
    from edge_convert.precision.chooser import choose  # noqa: PLC0415
    from edge_convert.precision.routes import float_graph  # noqa: PLC0415
    from edge_runtime import engine  # noqa: PLC0415

    bench = Bench(float_graph(source), calibration, judge, engine.create(engine_settings), clock, observer)
    hint = engine_settings.model_copy(update={"precision": "bf16"})
    return choose(bench, wanted, lambda: engine.create(hint), even_if_slower=even_if_slower)


def require_own_numbers(engines: Sequence[str], wanted: str) -> None:
    """A model in an engine's own format keeps the numbers that it came with.

    Args:
        engines: the only ones that can run it; empty: any can, and it may be given other numbers.
        wanted: as in `choose_precision`.

    Raises:
        ConfigError: other numbers are wanted.
    """
    if engines and wanted not in {"auto", "fp32"}:
        raise ConfigError(
            f"--precision {wanted}: a model in the format of {' or '.join(engines)} keeps its own numbers",
            "Leave --precision out, or import the model's ONNX export.",
        )


def _as_it_is(source: SourceModel, judge: Callable[[Candidate], Judgement], wanted: str) -> PrecisionChoice:
    require_own_numbers(source.engines, wanted)
    candidate = Candidate("fp32", "plain", bytes(source.model.SerializeToString()))
    return PrecisionChoice(candidate, judge(candidate))
