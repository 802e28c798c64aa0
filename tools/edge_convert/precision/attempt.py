"""One route to fewer bits: quantized throughout, and where that costs parity, repaired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_convert.precision.choice import Candidate, Judgement, Kept
from edge_convert.precision.search import Attempt, restore_and_give_back
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_convert.precision.bench import Bench
    from edge_convert.precision.choice import Precision
    from edge_convert.precision.routes import FloatGraph, Quantizer
    from edge_convert.precision.sensitivity import Span

_INT8: Final = b"QuantizeLinear"
_NOTHING_LEFT: Final = Judgement(holds=False, badness=float("inf"), text="nothing is left in INT8")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a route came to."""

    candidate: Candidate
    judgement: Judgement
    remarks: tuple[str, ...]
    """Of attempts on the way that were not taken."""


class _Judge:
    """Makes the graph with some operations in float32 and has it judged; remembers the latest, for models are large."""

    def __init__(self, bench: Bench, precision: Precision, quantizer: Quantizer, throughout: bytes) -> None:
        self._bench = bench
        self._precision = precision
        self._quantizer = quantizer
        self._latest: tuple[frozenset[str], bytes] = (frozenset(), throughout)

    def model(self, kept: frozenset[str]) -> bytes:
        if self._latest[0] != kept:
            self._latest = (kept, self._quantizer.quantize(kept))
        return self._latest[1]

    def __call__(self, spans: tuple[Span, ...]) -> Judgement:
        model = self.model(frozenset(name for span in spans for name in span.nodes))
        if self._precision == "int8" and _INT8 not in model:
            return _NOTHING_LEFT
        return self._bench.judge(Candidate(self._precision, self._quantizer.route, model))


def attempt_route(
    bench: Bench,
    precision: Precision,
    quantizer: Quantizer,
    throughout: bytes,
    costs: Callable[[], tuple[Span, ...]],
) -> Outcome:
    """Quantize throughout; if that loses parity, search for what to keep.

    Args:
        bench: what the attempts share.
        precision: int8 or fp16.
        quantizer: the route.
        throughout: what it makes of the graph where nothing is kept.
        costs: operations by what they cost; asked for only where it is needed.

    Raises:
        ConfigError: the route cannot quantize this graph, or nothing of it.
        EngineError: the engine cannot run the result.
    """
    if precision == "int8" and _INT8 not in throughout:
        raise ConfigError("no operation of this graph can be quantized", "Take --precision fp32.")
    title = f"{precision.upper()} ({quantizer.route})"
    judge = _Judge(bench, precision, quantizer, throughout)
    bench.budget.left -= 1
    best = first = Attempt((), judge(()))
    if not first.judgement.holds and bench.budget.left > 0:
        spans = costs()
        with bench.observer.stage(f"{title}: what must stay float32", bench.budget.left) as stage:

            def watched(spans: tuple[Span, ...]) -> Judgement:
                judgement = judge(spans)
                stage.advance()
                return judgement

            best = restore_and_give_back(first, spans, watched, bench.budget)
    kept = _kept(bench.graph, precision, best.spans)
    candidate = Candidate(precision, quantizer.route, judge.model(best.nodes), kept)
    return Outcome(candidate, best.judgement, _remarks(title, first, best))


def _remarks(title: str, first: Attempt, best: Attempt) -> tuple[str, ...]:
    if not best.spans:
        return ()
    count = len(best.nodes)
    end = "parity holds" if best.judgement.holds else "it is still beyond the limits"
    before = f"{title} throughout: {first.judgement.text} (badness {first.badness:.2f})"
    after = f"with {count} operation{'s' if count > 1 else ''} in float32 {end} (badness {best.badness:.2f})"
    return (f"{before}; {after}",)


def _kept(graph: FloatGraph, precision: Precision, spans: tuple[Span, ...]) -> tuple[Kept, ...]:
    kinds = {node.name: node.op_type for node in graph.model.graph.node}
    return tuple(Kept(name, kinds[name], _why(precision, span)) for span in spans for name in span.nodes)


def _why(precision: Precision, span: Span) -> str:
    subject = "alone" if len(span.nodes) == 1 else f"with its {len(span.nodes) - 1} neighbours"
    if span.effect == float("inf"):
        return f"{subject} in {precision.upper()} it makes {span.output} something that is not a number"
    return (
        f"{subject} in {precision.upper()} it moves {span.output} by {span.effect:.2%} of its spread "
        f"(SQNR {span.sqnr_db:.0f} dB)"
    )
