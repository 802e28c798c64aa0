"""Why a graph departs from what was recorded: the usual mistakes, tried one after the other on the float32 graph.

Each suspect changes one thing in the preprocessing. What brings the scores back names the cause; where no single one
does, the best is kept and the others are tried on top of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.images import load_image
from edge_convert.importing.answers import detection_of
from edge_convert.importing.stated import Stated
from edge_runtime.domain.errors import ConfigError, ImageError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Layout, Resize
from edge_runtime.vision.prepare import prepare
from edge_runtime.vision.residual import Criterion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge_convert.importing.exports import Built, Export, SourceGraph
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.engine.port import Tensor

_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_HALVES: Final = (0.5, 0.5, 0.5)
_CROP_SHARE: Final = 256 / 224
"""The customary Resize(256), CenterCrop(224)."""
_ROUNDS: Final = 2
_SHOWN: Final = 0.01
"""Finer agreement is float32's own rounding."""
_LOWEST_SPREAD: Final = 1e-9
AGREES: Final = 0.25
"""Spreads of good parts: half of what parity allows."""
_WORTH_NAMING: Final = 0.5
"""A suspect that does not mend all is named if it takes away at least half of the departure."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A mistake that people make."""

    flags: str
    """What mends it on the command line."""
    says: str
    """What it would mean."""
    change: Stated


@dataclass(frozen=True, slots=True)
class Witness:
    """An image and the score that the source gave it."""

    path: Path
    score: float


class Scorer:
    """How far the float32 graph is from the recording, under any reading of its preprocessing."""

    def __init__(
        self,
        export: Export,
        outputs: Mapping[str, str],
        witnesses: Sequence[Witness],
        spread: float,
        region: tuple[int, int, int, int] | None = None,
        criterion: Criterion = Criterion.MSE,
    ) -> None:
        self._export = export
        self._outputs = outputs
        self._region = region
        self._criterion = criterion
        self._witnesses = witnesses
        self._spread = max(spread, _LOWEST_SPREAD)
        self._images = [load_image(witness.path) for witness in witnesses]
        self._graphs: dict[tuple[object, ...], tuple[Built, SourceGraph]] = {}

    def departure(self, stated: Stated) -> float:
        """Largest difference of a score, in spreads of good parts; infinite where the graph cannot be fed so."""
        try:
            built, runner = self._graph(stated)
            spec = replace(_restated(built.input_spec, stated), region=self._region)
            found = [self._score(runner, prepare(image, spec), spec) for image in self._images]
        except (ConfigError, ImageError):
            return float("inf")
        pairs = zip(found, self._witnesses, strict=True)
        worst = max(_apart(score, witness.score, clamped=built.clamped) for score, witness in pairs)
        return worst / self._spread if np.isfinite(worst) else float("inf")

    def _score(self, runner: SourceGraph, tensor: Tensor, spec: InputSpec) -> float:
        return detection_of(runner.run(tensor), tensor, spec, self._criterion).score

    def _graph(self, stated: Stated) -> tuple[Built, SourceGraph]:
        """One graph per input size and layout, whatever else is stated."""
        key = (stated.input_px, stated.layout, stated.colour is ColourOrder.MONO)
        if key not in self._graphs:
            built = self._export.build(stated, self._outputs)
            self._graphs[key] = built, self._export.finished(built)
        return self._graphs[key]


def likely_cause(scorer: Scorer, stated: Stated, spec: InputSpec) -> str:
    """Try the usual suspects and say what is found.

    Args:
        scorer: measures the departure from the recording.
        stated: the preprocessing as it is configured.
        spec: the same, completed.
    """
    start = best = scorer.departure(stated)
    if start <= AGREES:
        return "The graph itself agrees with the recording; the departure is the engine's or the maps'."
    found: list[Suspect] = []
    current = stated
    for _ in range(_ROUNDS):
        tried = [
            (scorer.departure(suspect.change.over(current)), suspect)
            for suspect in suspects(spec)
            if all(suspect is not other for other in found)
        ]
        departure, suspect = min(tried, key=lambda item: item[0])
        if departure > best * _WORTH_NAMING:
            break
        found.append(suspect)
        best, current = departure, suspect.change.over(current)
        if best <= AGREES:
            break
    return _in_words(start, best, found)


def _in_words(start: float, best: float, found: Sequence[Suspect]) -> str:
    departs = f"Scores depart by {start:.2g} spreads of good parts"
    if not found:
        return (
            f"{departs}, and none of the usual causes (colour order, resize, normalisation, crop, layout) explains it: "
            "the export or its weights are not those of the recorded model."
        )
    flags = " ".join(suspect.flags for suspect in found)
    says = " and ".join(suspect.says for suspect in found)
    if best <= AGREES:
        return f"{departs}; with {flags} they agree within {max(best, _SHOWN):.2g}: {says}."
    return f"{departs}; with {flags} by {best:.2g} only: {says}, but that is not all."


def suspects(spec: InputSpec) -> Iterator[Suspect]:
    """Every usual mistake that this preprocessing may contain."""
    yield from _colours(spec)
    yield from _resizes(spec)
    yield from _normalisations(spec)
    yield from _crops(spec)
    if spec.height_px != spec.width_px:
        turned = (spec.width_px, spec.height_px)
        yield Suspect(
            f"--input-size {turned[0]}x{turned[1]}",
            "height and width are swapped",
            Stated(input_px=turned, resized_px=turned),
        )
    other = Layout.NHWC if spec.layout is Layout.NCHW else Layout.NCHW
    yield Suspect(f"--layout {other.value}", f"the export expects {other.value.upper()}", Stated(layout=other))


def _colours(spec: InputSpec) -> Iterator[Suspect]:
    if spec.colour is ColourOrder.MONO:
        return
    other = ColourOrder.BGR if spec.colour is ColourOrder.RGB else ColourOrder.RGB
    says = f"the export expects {other.value.upper()}"
    yield Suspect(f"--colour {other.value}", says, Stated(colour=other))
    mean, std = spec.mean[::-1], spec.std[::-1]
    if (mean, std) != (spec.mean, spec.std):  # they were stated in the other order, too
        flags = f"--colour {other.value} --mean {_joined(mean)} --std {_joined(std)}"
        yield Suspect(flags, says, Stated(colour=other, mean=mean, std=std))


_RESIZE_WORDS: Final = {
    Resize.LINEAR_ANTIALIAS: "the model was trained behind a linear resize with antialiasing",
    Resize.LINEAR: "the model was trained behind a linear resize without antialiasing",
    Resize.AREA: "the model was trained behind an area resize (OpenCV's INTER_AREA)",
    Resize.CUBIC_ANTIALIAS: "the model was trained behind a cubic resize with antialiasing",
    Resize.CUBIC: "the model was trained behind a cubic resize without antialiasing",
    Resize.NEAREST: "the model was trained behind a nearest-neighbour resize",
}


def _resizes(spec: InputSpec) -> Iterator[Suspect]:
    for method, words in _RESIZE_WORDS.items():
        if method is not spec.resize:
            yield Suspect(f"--resize {method.value}", words, Stated(resize=method))


def _normalisations(spec: InputSpec) -> Iterator[Suspect]:
    if spec.dtype == "uint8" or len(spec.mean) != len(_IMAGENET_MEAN):
        return
    plain, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    imagenet = f"--mean {_joined(_IMAGENET_MEAN)} --std {_joined(_IMAGENET_STD)}"
    variants = (
        ("", plain, ones, 1.0, "the export takes pixels in 0…1 and normalises them itself, if at all"),
        ("", plain, ones, 255.0, "the export takes pixels in 0…255"),
        (imagenet, _IMAGENET_MEAN, _IMAGENET_STD, 1.0, "the export expects ImageNet's normalisation before it"),
        (
            f"--mean {_joined(_HALVES)} --std {_joined(_HALVES)}",
            _HALVES,
            _HALVES,
            1.0,
            "the export takes pixels in -1…1",
        ),
    )
    for flags, mean, std, scale, says in variants:
        if (mean, std, scale) == (spec.mean, spec.std, spec.scale):
            continue
        stated = flags or f"--mean {_joined(mean)} --std {_joined(std)}"
        yield Suspect(f"{stated} --scale {scale:g}", says, Stated(mean=mean, std=std, scale=scale))


def _crops(spec: InputSpec) -> Iterator[Suspect]:
    size = (spec.height_px, spec.width_px)
    if spec.resized_px is not None:
        yield Suspect(
            f"--resized {size[0]}x{size[1]}", "the model was trained without a centre crop", Stated(resized_px=size)
        )
    else:
        larger = (round(size[0] * _CROP_SHARE), round(size[1] * _CROP_SHARE))
        yield Suspect(
            f"--resized {larger[0]}x{larger[1]}",
            "the model was trained behind a centre crop",
            Stated(resized_px=larger),
        )
    other = Fit.STRETCH if spec.fit is Fit.SHORTER_SIDE else Fit.SHORTER_SIDE
    words = "with stretched images" if other is Fit.STRETCH else "with kept proportions"
    yield Suspect(f"--fit {other.value}", f"the model was trained {words}", Stated(fit=other))


def witnesses_of(paths: Iterable[Path], score_of: Callable[[Path], float | None], count: int) -> tuple[Witness, ...]:
    """At most `count` images with an answer, evenly over those that there are."""
    scored = [(path, score_of(path)) for path in paths]
    known = [Witness(path, score) for path, score in scored if score is not None]
    if not known:
        return ()
    chosen = sorted({int(index) for index in np.linspace(0, len(known) - 1, min(count, len(known))).round()})
    return tuple(known[index] for index in chosen)


def _restated(spec: InputSpec, stated: Stated) -> InputSpec:
    """The specification with everything but its size and layout taken from the statements."""
    size = (spec.height_px, spec.width_px)
    changes = {
        "resize": stated.resize,
        "fit": stated.fit,
        "colour": stated.colour,
        "scale": stated.scale,
        "mean": stated.mean,
        "std": stated.std,
        "keep_fractions": stated.keep_fractions if spec.dtype == "float32" else None,
    }
    known = {name: value for name, value in changes.items() if value is not None}
    resized = stated.resized_px if stated.resized_px is not None else spec.resized_px
    return replace(spec, **known, resized_px=None if resized == size else resized)  # type: ignore[arg-type]


def _apart(score: float, recorded: float, *, clamped: bool) -> float:
    """Distance to a recorded score, which may have been cut to 0…1."""
    if clamped and recorded in {0.0, 1.0}:
        score = min(max(score, 0.0), 1.0)
    return abs(score - recorded)


def _joined(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
