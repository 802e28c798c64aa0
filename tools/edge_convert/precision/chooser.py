"""The order in which precisions are tried, and what refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_convert.precision import nncf_route
from edge_convert.precision.attempt import attempt_route
from edge_convert.precision.choice import Candidate, PrecisionChoice
from edge_convert.precision.edges import has_float_products
from edge_runtime.domain.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_convert.precision.attempt import Outcome
    from edge_convert.precision.bench import Bench
    from edge_convert.precision.choice import Judgement
    from edge_runtime.engine.port import Engine

_WORTH_IT: Final = 0.95
"""Less than a twentieth faster may be chance, and is not worth 8 bits."""
_WORDS: Final = ("auto", "int8", "fp32", "fp16", "bf16")


def choose(bench: Bench, wanted: str, hinted: Callable[[], Engine] | None, *, even_if_slower: bool) -> PrecisionChoice:
    """See `choice.choose_precision`.

    Args:
        bench: graph, judge, engine, clock.
        wanted: auto, int8, fp32, fp16 or bf16.
        hinted: the engine told to compute in bf16; made only where that could help. None: bf16 is not to be had.
        even_if_slower: take a wanted INT8 although float32 is faster here.

    Raises:
        ConfigError: `wanted` is unknown, is slower than float32 here, or cannot be had on this engine.
        EngineError: the engine cannot run the graph.
    """
    if wanted not in _WORDS:
        raise ConfigError(f"precision {wanted!r} is unknown", f"Write one of {', '.join(_WORDS)}.")
    if wanted == "bf16":
        return _bf16(bench, hinted or _nobody)
    if wanted == "fp16":
        return _fp16(bench)
    plain = Candidate("fp32", "plain", bench.plain)
    bench.budget.left -= 1
    exact = bench.judge(plain)
    if wanted == "fp32":
        return PrecisionChoice(plain, exact)
    if wanted == "auto" and not exact.holds:
        return PrecisionChoice(plain, exact, refused=(f"INT8 was not tried: float32 departs already, {exact.text}",))
    return _Int8(bench, exact, hinted or _nobody, even_if_slower=even_if_slower).choose(plain, wanted)


def _nobody() -> Engine:
    raise EngineError("nobody computes in bf16 here", "Take another precision.")


class _Int8:
    """Both routes in turn, the second only where the first fails."""

    def __init__(self, bench: Bench, exact: Judgement, hinted: Callable[[], Engine], *, even_if_slower: bool) -> None:
        self._bench = bench
        self._exact = exact
        self._hinted = hinted
        self._even_if_slower = even_if_slower
        self._refused: list[str] = []
        self._fallen_short: list[tuple[Outcome, Mapping[str, float]]] = []
        self._timings: Mapping[str, float] = {}

    def choose(self, plain: Candidate, wanted: str) -> PrecisionChoice:
        for route in self._bench.routes:
            if (found := self._try(route)) is not None:
                return found
        if wanted == "auto":
            return PrecisionChoice(plain, self._exact, self._timings, tuple(self._refused))
        if not self._fallen_short:
            raise ConfigError(
                "; ".join(self._refused),
                "Take --precision auto or fp32, or another engine; for a device that is faster in INT8 than this "
                "machine add --even-if-slower.",
            )
        outcome, timings = min(self._fallen_short, key=lambda item: item[0].judgement.badness)
        return PrecisionChoice(outcome.candidate, outcome.judgement, timings, tuple(self._refused))

    def _try(self, route: str) -> PrecisionChoice | None:
        bench = self._bench
        if (reason := self._no_use(route)) is not None:
            self._refused.append(f"INT8 ({route}) was not tried: {reason}")
            return None
        try:
            quantizer = bench.qdq if route == "ort-qdq" else bench.nncf
            # Before the search: what is left in float32 later only makes it slower.
            throughout = quantizer.quantize(frozenset())
            if self._slower(route, throughout):
                return None
            outcome = attempt_route(bench, "int8", quantizer, throughout, lambda: bench.int8_costs)
        except (ConfigError, EngineError) as error:
            self._refused.append(f"INT8 ({route}) cannot be had: {error.what}")
            return None
        self._refused.extend(outcome.remarks)
        if outcome.candidate.model != throughout and self._slower(route, outcome.candidate.model):
            return None
        if outcome.judgement.holds:
            candidate, judgement = self._rest_in_bf16(outcome)
            return PrecisionChoice(candidate, judgement, self._timings, tuple(self._refused))
        self._refused.append(f"INT8 ({route}) does not keep parity: {outcome.judgement.text}")
        self._fallen_short.append((outcome, self._timings))
        return None

    def _rest_in_bf16(self, outcome: Outcome) -> tuple[Candidate, Judgement]:
        """The same graph on the engine told to compute in bf16 what is not INT8, if that is faster and holds."""
        bench, plain = self._bench, outcome.candidate
        as_it_is = plain, outcome.judgement
        if not has_float_products(plain.model):
            return as_it_is
        try:
            race = bench.race(plain.model, {"int8": bench.engine, "int8+bf16": self._hinted()})
        except EngineError:  # OpenVINO offers bf16 on a processor whose instructions are masked, and cannot compile
            return as_it_is
        if race["int8+bf16"] > race["int8"] * _WORTH_IT:
            return as_it_is
        # Only ratios of one race are comparable: this one's is carried over to the race against float32.
        share = race["int8+bf16"] / race["int8"]
        self._timings = {**self._timings, "int8+bf16": self._timings["int8"] * share}
        candidate = replace(plain, floats="bf16")
        judgement = bench.judge(candidate)
        if judgement.holds:
            return candidate, judgement
        self._refused.append(f"bf16 in place of float32 beside INT8 does not keep parity: {judgement.text}")
        return as_it_is

    def _no_use(self, route: str) -> str | None:
        """Why not even to begin: NNCF calibrates first, which takes long."""
        if route == "nncf" and not nncf_route.is_installed():
            return "NNCF is not installed"
        return "the other route's search took all judgements" if self._bench.budget.left < 1 else None

    def _slower(self, route: str, model: bytes) -> bool:
        self._timings = self._bench.time({"fp32": self._bench.plain, "int8": model})
        if self._timings["int8"] < self._timings["fp32"] * _WORTH_IT or self._even_if_slower:
            return False
        # No milliseconds: this goes into the bundle, and equal inputs make equal bundles.
        self._refused.append(f"INT8 ({route}) is not faster than float32 on this machine and engine")
        return True


def _fp16(bench: Bench) -> PrecisionChoice:
    outcome = attempt_route(bench, "fp16", bench.half, bench.half.quantize(frozenset()), lambda: bench.half_costs)
    timings = bench.time({"fp32": bench.plain, "fp16": outcome.candidate.model})
    if timings["fp16"] >= timings["fp32"]:
        bench.observer.notice("float16 is not faster than float32 on this machine and engine; the file is smaller")
    candidate = Candidate("fp16", "plain", outcome.candidate.model, (*bench.half.kept, *outcome.candidate.kept))
    return PrecisionChoice(candidate, outcome.judgement, timings, outcome.remarks)


def _bf16(bench: Bench, hinted: Callable[[], Engine]) -> PrecisionChoice:
    try:
        engine = hinted()
    except EngineError as error:
        raise ConfigError(
            f"bf16 cannot be had here: {error.what}",
            "Take OpenVINO (--engine openvino) on a processor with AVX512-BF16 or AMX, or another precision.",
        ) from error
    candidate = Candidate("bf16", "hint", bench.plain, floats="bf16")
    judgement = bench.judge(candidate)
    exact = bench.time({"fp32": bench.plain})
    bench.engine = engine
    timings = {**exact, "bf16": bench.time({"bf16": bench.plain})["bf16"]}
    if timings["bf16"] >= timings["fp32"]:
        bench.observer.notice("bf16 is not faster than float32 on this machine and engine")
    return PrecisionChoice(candidate, judgement, timings)
