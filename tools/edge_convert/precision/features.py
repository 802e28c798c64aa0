"""INT8 or float32 for PatchCore's features: proved on defects and good parts, repaired where it can be, and timed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge_convert.defects import plant_defect
from edge_convert.graphs import IMAGE, PATCHES
from edge_convert.images import spread
from edge_convert.precision.bench import Bench
from edge_convert.precision.chooser import choose
from edge_convert.precision.probe_parity import Parity, ProbeScores
from edge_convert.precision.routes import FloatGraph
from edge_convert.precision.search import Budget
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.graphs import FeatureGraph
    from edge_convert.images import ImageSet
    from edge_convert.precision.choice import Candidate, Judgement, Kept, PrecisionChoice
    from edge_convert.progress import Observer
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.engine.port import Engine, Tensor
    from edge_runtime.ops.clock import Clock

_CALIBRATION_IMAGES: Final = 48
_DEFECTS_PER_IMAGE: Final = 2
_JUDGEMENTS: Final = 14
_NEARER: Final = 1.2
"""So much nearer than would just do: the rounding does not fall evenly."""


@dataclass(frozen=True, slots=True)
class FeaturesChoice:
    """The features graph that goes into the bundle, and why."""

    model: bytes
    precision: str
    """"int8" or "fp32"."""
    parity: Parity | None
    """Of the INT8 graph that was taken, or was refused last."""
    fp32_ms: float | None
    int8_ms: float | None
    warnings: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    """Operations that stay in float32 inside an INT8 graph, because they cost parity."""


class FeaturesChooser:
    """Takes INT8 if it keeps the scores and is faster here; else float32, with a warning.

    Where INT8 throughout does not keep the scores, the operations that cost most stay in float32.
    """

    def __init__(
        self,
        graph: FeatureGraph,
        images: ImageSet,
        spec: InputSpec,
        engine: Engine,
        clock: Clock,
        observer: Observer,
        *,
        seed: int,
    ) -> None:
        """Score float32.

        Raises:
            ConfigError: the graph gives values that are not finite.
            EngineError: the engine cannot run the graph.
        """
        plain = engine.load(graph.model.SerializeToString())
        self._judge = _Judge(engine, ProbeScores(plain, images, spec, seed, observer))
        self._bench = Bench(
            original=quantizable(graph),
            calibration=lambda: _calibration(images, spec, seed),
            judge=self._judge,
            engine=engine,
            clock=clock,
            observer=observer,
            routes=("ort-qdq",),
        )

    def choose(self) -> FeaturesChoice:
        """By the probes, before anything is learnt.

        Raises:
            EngineError: the engine cannot run the graph.
        """
        self._bench.budget = Budget(_JUDGEMENTS)
        found = choose(self._bench, "auto", None, even_if_slower=False)
        self._badness = found.judgement.badness
        return _told(found, self._judge)

    def choose_nearer(self, missed: float) -> FeaturesChoice:
        """Once more, nearer to float32: the finished bundle departed from it by `missed` times what it may.

        The probes only estimate that, so they are held to what they said of the last choice, divided by as much.

        Raises:
            EngineError: the engine cannot run the graph.
        """
        self._judge.limit = self._badness / (missed * _NEARER)
        return self.choose()


def float_features(graph: FeatureGraph) -> FeaturesChoice:
    """Float32, without a question."""
    return FeaturesChoice(bytes(graph.model.SerializeToString()), "fp32", None, None, None)


def quantizable(graph: FeatureGraph) -> FloatGraph:
    """The backbone may be quantized; normalisation, pooling and resizing around it stay in float32."""
    inside = frozenset(graph.backbone_nodes)
    around = frozenset(node.name for node in graph.model.graph.node if node.name not in inside)
    return FloatGraph(graph.model, IMAGE, (PATCHES,), around)


class _Judge:
    """Remembers the parity behind each judgement."""

    def __init__(self, engine: Engine, scores: ProbeScores) -> None:
        self._engine = engine
        self._scores = scores
        self.seen: dict[Judgement, Parity] = {}
        self.last: Parity | None = None
        self.limit = 1.0
        """Largest badness that holds."""

    def __call__(self, candidate: Candidate) -> Judgement:
        parity = self._scores.compare(self._engine.load(candidate.model))
        found = parity.judgement
        judgement = replace(found, holds=found.holds and found.badness <= self.limit)
        if candidate.precision != "fp32":
            self.seen[judgement] = self.last = parity
        return judgement


def _told(choice: PrecisionChoice, judge: _Judge) -> FeaturesChoice:
    timings = choice.timings_ms
    candidate = choice.candidate
    return FeaturesChoice(
        model=candidate.model,
        precision=candidate.precision,
        parity=judge.seen.get(choice.judgement, judge.last),
        fp32_ms=timings.get("fp32"),
        int8_ms=timings.get("int8"),
        warnings=(
            *choice.refused,
            *(f"{kept.node} ({kept.op_type}) stays in float32: {kept.why}" for kept in candidate.kept),
        ),
        kept=candidate.kept,
    )


def _calibration(images: ImageSet, spec: InputSpec, seed: int) -> Iterator[Tensor]:
    for turn, index in enumerate(spread(len(images.files), _CALIBRATION_IMAGES)):
        exposure = images.load(index)
        yield prepare(exposure, spec)
        for defect in range(_DEFECTS_PER_IMAGE):
            kind = turn * _DEFECTS_PER_IMAGE + defect
            yield prepare(plant_defect(exposure, seed + index, kind, spec.region), spec)
