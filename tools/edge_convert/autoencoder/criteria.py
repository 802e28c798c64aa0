"""Which criterion of the residual tells good parts from defective ones: by labelled images, or by planted defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from edge_convert.defects import LOCAL_KINDS, plant_defect
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.metrics import image_ap, image_auroc
from edge_convert.images import load_image
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.residual import Criterion, Histogram, ResidualForm, all_criteria, usual_sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.domain.frame import Exposure

    ResidualSource: TypeAlias = Callable[[Exposure], npt.NDArray[np.float32]]

AUTO: Final = "auto"

Measure: TypeAlias = tuple[Criterion, ResidualForm]
"""What a score can be taken from."""

_SEED_OFFSET: Final = 20_000
"""Planted defects here are none of those that calibrate, prove parity or become golden images."""
_HISTOGRAMS: Final = {ResidualForm.SIGNED: Histogram(-1.0, 1.0), ResidualForm.ABSOLUTE: Histogram(0.0, 1.0)}
"""Of images in 0…1: as the detector takes them."""


@dataclass(frozen=True, slots=True)
class CriterionFigure:
    """How one measure does on the validation images."""

    criterion: Criterion
    form: ResidualForm
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
    """Every measure of every image that was added."""

    def __init__(self) -> None:
        self._columns: dict[Measure, list[float]] = {
            (criterion, form): [] for form in ResidualForm for criterion in Criterion
        }

    def add(self, residual: npt.NDArray[np.float32]) -> None:
        """Add one image's signed residual, H×W×C, of images in 0…1."""
        for form in ResidualForm:
            values = np.abs(residual) if form is ResidualForm.ABSOLUTE else residual
            for criterion, value in all_criteria(values, _HISTOGRAMS[form]).items():
                self._columns[criterion, form].append(value)

    def columns(self) -> Mapping[Measure, list[float]]:
        """Values per measure, in the order of the images."""
        return self._columns


def measure_images(residual: ResidualSource, exposures: Iterable[Exposure], step: Callable[[], None]) -> MeasureTable:
    """All measures of some images; `step` is called after each."""
    table = MeasureTable()
    for exposure in exposures:
        table.add(residual(exposure))
        step()
    return table


def choose_criterion(
    residual: ResidualSource,
    held_out: ImageSet,
    validation: Path | None,
    wanted: tuple[str, str],
    region: tuple[int, int, int, int] | None,
    observer: Observer,
    seed: int,
) -> CriterionChoice:
    """Judge every measure, and take the best or the one that was asked for.

    Args:
        residual: signed residual of an exposure.
        held_out: good images that the network was not trained on.
        validation: labelled images in MVTec's folders; None: defects are planted on `held_out`.
        wanted: criterion and form, each a name or `auto`.
        region: where defects are planted.
        observer: who watches.
        seed: of the planted defects.

    Raises:
        ConfigError: no such criterion or form, or the network gives no finite residual.
        DatasetError: `validation` is not a labelled dataset.
        ImageError: an image cannot be decoded, or does not fit.
    """
    candidates = _candidates(*wanted)
    good, defective, source = _validation_images(held_out, validation, region, seed)
    with observer.stage("judging criteria", good.count + defective.count) as stage:
        clean = measure_images(residual, good.exposures, stage.advance).columns()
        bad = measure_images(residual, defective.exposures, stage.advance).columns()
    if not all(np.isfinite(values).all() for columns in (clean, bad) for values in columns.values()):
        raise ConfigError("the network gives residuals that are not finite numbers", "Train anew with a lower --rate.")
    figures = sorted((judge(clean[one], bad[one], *one) for one in candidates), key=_rank)
    return CriterionChoice(figures[0], tuple(figures), source)


def judge(good: list[float], defective: list[float], criterion: Criterion, form: ResidualForm) -> CriterionFigure:
    """One measure, with the sign that makes its AUROC at least one half; in doubt the usual one."""
    usual = usual_sign(criterion, form)
    sign = -usual if image_auroc(*_signed(good, defective, usual)) < 0.5 else usual  # noqa: PLR2004  (no better than chance)
    clean, bad = _signed(good, defective, sign)
    spread = float(np.std(clean))
    distance = float(np.median(bad) - np.median(clean))
    separation = distance / spread if spread > 0 else float(np.sign(distance)) * np.inf if distance else 0.0
    return CriterionFigure(criterion, form, sign, image_auroc(clean, bad), image_ap(clean, bad), separation)


def _rank(figure: CriterionFigure) -> tuple[float, float]:
    return -figure.auroc, -figure.separation


def _signed(good: list[float], defective: list[float], sign: int) -> tuple[list[float], list[float]]:
    return [sign * value for value in good], [sign * value for value in defective]


def _candidates(criterion: str, form: str) -> list[Measure]:
    for text, option, words in (
        (criterion, "--criterion", [one.value for one in Criterion]),
        (form, "--residual", [one.value for one in ResidualForm]),
    ):
        if text not in {AUTO, *words}:
            raise ConfigError(f"{option} {text!r} is unknown", f"Choose {AUTO}, {', '.join(words)}.")
    return [
        (one, shape)
        for one in Criterion
        for shape in ResidualForm
        if criterion in {AUTO, one.value} and form in {AUTO, shape.value}
    ]


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
        plant_defect(held_out.load(index), seed + _SEED_OFFSET + index, index % LOCAL_KINDS, region)
        for index in range(count)
    )
    source = f"{count} good images that were not trained on, and a defect planted on each"
    return _Images(count, map(held_out.load, range(count))), _Images(count, planted), source
