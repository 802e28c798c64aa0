"""Which criterion of the residual tells good parts from defective ones: by labelled images, or by planted defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from edge_convert.defects import KINDS, plant_defect
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.metrics import image_ap, image_auroc
from edge_convert.images import load_image
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.residual import (
    Criterion,
    Histogram,
    ResidualForm,
    criterion_value,
    residual_of,
    usual_sign,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.domain.frame import Exposure

    ResidualSource: TypeAlias = Callable[[Exposure], npt.NDArray[np.float32]]

AUTO: Final = "auto"

SIGMAS_PX: Final = (0.0, 1.0, 2.0)
"""Smoothing that `auto` tries: a defect covers several pixels of the residual, noise covers one."""

_APART: Final = 1e9
"""The distance of defective scores from good ones that are all the same."""
_SEED_OFFSET: Final = 20_000
"""Planted defects here are none of those that calibrate, prove parity or become golden images."""
_HISTOGRAMS: Final = {ResidualForm.SIGNED: Histogram(-1.0, 1.0), ResidualForm.ABSOLUTE: Histogram(0.0, 1.0)}
"""Of images in 0…1: as the detector takes them."""


class Measure(NamedTuple):
    """What a score can be taken from."""

    criterion: Criterion
    form: ResidualForm
    sigma_px: float
    """Of the Gaussian over the residual."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; `auto` and None: let the validation images decide."""

    criterion: str = AUTO
    residual: str = AUTO
    sigma_px: float | None = None

    def measures(self) -> list[Measure]:
        """The candidates.

        Raises:
            ConfigError: no such criterion or form.
        """
        for text, option, words in (
            (self.criterion, "--criterion", [one.value for one in Criterion]),
            (self.residual, "--residual", [one.value for one in ResidualForm]),
        ):
            if text not in {AUTO, *words}:
                raise ConfigError(f"{option} {text!r} is unknown", f"Choose {AUTO}, {', '.join(words)}.")
        return [
            Measure(criterion, form, sigma_px)
            for criterion in Criterion
            for form in ResidualForm
            for sigma_px in (SIGMAS_PX if self.sigma_px is None else (self.sigma_px,))
            if self.criterion in {AUTO, criterion.value} and self.residual in {AUTO, form.value}
        ]


@dataclass(frozen=True, slots=True)
class CriterionFigure:
    """How one measure does on the validation images."""

    measure: Measure
    sign: int
    """−1: low is anomalous."""
    auroc: float
    """With that sign."""
    average_precision: float
    separation: float
    """Median defective minus median good score, in standard deviations of the good ones: decides between equals."""


@dataclass(frozen=True, slots=True)
class CriterionChoice:
    """The measure that the bundle will use."""

    chosen: CriterionFigure
    figures: tuple[CriterionFigure, ...]
    """All measures, best first."""
    source: str
    """What it was judged on, in words."""


class MeasureTable:
    """Measures of every image that was added."""

    def __init__(self, measures: Iterable[Measure]) -> None:
        self.columns: Final[dict[Measure, list[float]]] = {measure: [] for measure in measures}
        """Values per measure, in the order of the images."""

    def add(self, residual: npt.NDArray[np.float32]) -> None:
        """Add one image's signed, unsmoothed residual, H×W×C, of images in 0…1."""
        nothing = np.zeros_like(residual)
        smoothed = {
            (form, sigma_px): residual_of(residual, nothing, form, sigma_px)
            for form, sigma_px in {(one.form, one.sigma_px) for one in self.columns}
        }
        for one, values in self.columns.items():
            values.append(criterion_value(smoothed[one.form, one.sigma_px], one.criterion, _HISTOGRAMS[one.form]))


def measure_images(
    residual: ResidualSource, exposures: Iterable[Exposure], measures: Iterable[Measure], step: Callable[[], None]
) -> Mapping[Measure, list[float]]:
    """The measures of some images; `step` is called after each."""
    table = MeasureTable(measures)
    for exposure in exposures:
        table.add(residual(exposure))
        step()
    return table.columns


def choose_criterion(
    residual: ResidualSource,
    held_out: ImageSet,
    validation: Path | None,
    wanted: Wanted,
    region: tuple[int, int, int, int] | None,
    observer: Observer,
    seed: int,
) -> CriterionChoice:
    """Judge every measure, and take the best or the one that was asked for.

    Args:
        residual: signed, unsmoothed residual of an exposure.
        held_out: good images that the network was not trained on.
        validation: labelled images in MVTec's folders; None: defects are planted on `held_out`, marks and pictures
            that are wrong as a whole alike. Of marks alone, measures of shape would be chosen that ignore the size of
            an error: a kurtosis is low where nothing at all was drawn as it is.
        wanted: restricts the candidates.
        region: where defects are planted.
        observer: who watches.
        seed: of the planted defects.

    Raises:
        ConfigError: no such criterion or form, or the network gives no finite residual.
        DatasetError: `validation` is not a labelled dataset.
        ImageError: an image cannot be decoded, or does not fit.
    """
    measures = wanted.measures()
    good, defective, source = _validation_images(held_out, validation, region, seed)
    with observer.stage("judging criteria", good.count + defective.count) as stage:
        clean = measure_images(residual, good.exposures, measures, stage.advance)
        bad = measure_images(residual, defective.exposures, measures, stage.advance)
    if not all(np.isfinite(values).all() for columns in (clean, bad) for values in columns.values()):
        raise ConfigError("the network gives residuals that are not finite numbers", "Train anew with a lower --rate.")
    figures = sorted((judge(clean[one], bad[one], one) for one in measures), key=_rank)
    return CriterionChoice(figures[0], tuple(figures), source)


def judge(good: list[float], defective: list[float], measure: Measure) -> CriterionFigure:
    """One measure, with the sign that makes its AUROC at least one half; in doubt the usual one."""
    usual = usual_sign(measure.criterion, measure.form)
    sign = -usual if image_auroc(*_signed(good, defective, usual)) < 0.5 else usual  # noqa: PLR2004  (no better than chance)
    clean, bad = _signed(good, defective, sign)
    spread = float(np.std(clean))
    distance = float(np.median(bad) - np.median(clean))
    separation = distance / spread if spread > 0 else float(np.sign(distance)) * _APART
    return CriterionFigure(measure, sign, image_auroc(clean, bad), image_ap(clean, bad), separation)


def _rank(figure: CriterionFigure) -> tuple[float, float]:
    return -figure.auroc, -figure.separation


def _signed(good: list[float], defective: list[float], sign: int) -> tuple[list[float], list[float]]:
    return [sign * value for value in good], [sign * value for value in defective]


@dataclass(frozen=True, slots=True)
class _Images:
    count: int
    exposures: Iterator[Exposure]


def _validation_images(
    held_out: ImageSet, validation: Path | None, region: tuple[int, int, int, int] | None, seed: int
) -> tuple[_Images, _Images, str]:
    if validation is not None:
        samples = open_dataset(validation).samples
        good = [sample.path for sample in samples if not sample.is_defect]
        bad = [sample.path for sample in samples if sample.is_defect]
        source = f"{len(good)} good and {len(bad)} defective labelled images"
        return _Images(len(good), map(load_image, good)), _Images(len(bad), map(load_image, bad)), source
    count = len(held_out.files)
    planted = (
        plant_defect(held_out.load(index), seed + _SEED_OFFSET + index, index % len(KINDS), region)
        for index in range(count)
    )
    source = f"{count} good images that were not trained on, and a defect planted on each"
    return _Images(count, map(held_out.load, range(count))), _Images(count, planted), source
