"""Which criterion is chosen, and on what evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_backbone import draw_part, write_parts

from edge_convert.autoencoder.criteria import SIGMAS_PX, Measure, Wanted, choose_criterion, judge, measure_images
from edge_convert.evaluate.metrics import image_auroc
from edge_convert.images import survey
from edge_convert.progress import Silent
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.residual import Criterion, ResidualForm, criterion_value, residual_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

CLEAN = np.mean([draw_part(seed) for seed in range(40)], axis=0)


def residual(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a model would give that always draws the mean part."""
    return ((frame - CLEAN) / 255).astype(np.float32)


def choose(folder: Path, wanted: Wanted, validation: Path | None = None):
    """The choice for twelve drawn parts."""
    good = survey(write_parts(folder / "good", 12, first=50))
    return choose_criterion(residual, good, validation, wanted, None, Silent(), 0)


def test_planted_defects_choose_where_there_are_no_labelled_ones(tmp_path: Path) -> None:
    """Every criterion, form and smoothing is judged; the best stands first and says on what it was judged."""
    choice = choose(tmp_path, Wanted())
    assert len(choice.figures) == len(Criterion) * len(ResidualForm) * len(SIGMAS_PX)
    assert choice.chosen.auroc == max(figure.auroc for figure in choice.figures) > 0.8
    assert choice.source == "12 good images that were not trained on, and a defect planted on each"
    assert choice == choose(tmp_path, Wanted())


def test_labelled_images_choose_where_they_are(tmp_path: Path) -> None:
    """A bright line across the part: its measures are those of the labelled images themselves."""
    write_parts(tmp_path / "val" / "test" / "good", 5)
    write_parts(tmp_path / "val" / "test" / "line", 7, first=200, defect=True)
    choice = choose(tmp_path, Wanted("maximum", "signed", 0.0), tmp_path / "val")
    assert choice.source == "5 good and 7 defective labelled images"
    good = [criterion_value(residual(draw_part(seed)), Criterion.MAXIMUM) for seed in range(5)]
    bad = [criterion_value(residual(draw_part(seed, defect=True)), Criterion.MAXIMUM) for seed in range(200, 207)]
    assert choice.chosen.auroc == image_auroc(good, bad)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [(Wanted("range"), 6), (Wanted("range", "signed"), 3), (Wanted("range", "signed", 1.5), 1), (Wanted("mse"), 6)],
)
def test_what_was_asked_for_is_kept(tmp_path: Path, wanted: Wanted, count: int) -> None:
    """`auto` decides only what was left open."""
    choice = choose(tmp_path, wanted)
    assert len(choice.figures) == count
    assert choice.chosen.measure.criterion.value == wanted.criterion
    assert wanted.sigma_px in {None, choice.chosen.measure.sigma_px}


@pytest.mark.parametrize(("wanted", "said"), [(Wanted("median"), "--criterion"), (Wanted("mse", "squared"), "--resid")])
def test_an_unknown_word_is_refused_with_those_that_are_known(tmp_path: Path, wanted: Wanted, said: str) -> None:
    """Both the option and the choices."""
    with pytest.raises(ConfigError, match=said) as refused:
        choose(tmp_path, wanted)
    assert "auto" in refused.value.action


def test_a_model_without_finite_residuals_is_refused(tmp_path: Path) -> None:
    """No criterion can be judged on NaN."""
    good = survey(write_parts(tmp_path / "good", 5))
    with pytest.raises(ConfigError, match="finite"):
        choose_criterion(lambda frame: residual(frame) * np.nan, good, None, Wanted(), None, Silent(), 0)


def test_a_criterion_that_is_low_at_defects_gets_a_negative_sign() -> None:
    """Its AUROC is that of the turned score; with no difference at all the usual sign stays."""
    measure = Measure(Criterion.ENTROPY, ResidualForm.SIGNED, 0.0)
    found = judge([3.0, 4.0, 5.0], [1.0, 2.0], measure)
    assert (found.sign, found.auroc) == (-1, 1.0)
    assert found.separation > 0
    assert judge([1.0, 1.0], [1.0], measure).sign == 1
    assert judge([1.0, 1.0], [1.0], measure).separation == 0
    assert 0 < judge([1.0, 1.0], [2.0], measure).separation < float("inf")
    lowest = Measure(Criterion.MINIMUM, ResidualForm.SIGNED, 0.0)
    assert judge([-0.1, -0.2], [-0.5], lowest).sign == -1


def test_equal_aurocs_are_decided_by_distance(tmp_path: Path) -> None:
    """Among perfect criteria the one with the widest gap in spreads of good parts wins."""
    write_parts(tmp_path / "val" / "test" / "good", 6)
    write_parts(tmp_path / "val" / "test" / "line", 6, first=200, defect=True)
    figures = choose(tmp_path, Wanted(), tmp_path / "val").figures
    perfect = [figure.separation for figure in figures if figure.auroc == 1.0]
    assert len(perfect) > 1
    assert perfect == sorted(perfect, reverse=True)


def test_measures_are_the_devices_own() -> None:
    """Smoothed and folded exactly as the detector does it."""
    frame = draw_part(3, defect=True)
    measure = Measure(Criterion.KURTOSIS, ResidualForm.ABSOLUTE, 2.0)
    steps: list[int] = []
    found = measure_images(residual, [frame], [measure], lambda: steps.append(1))
    expected = residual_of(residual(frame), np.zeros_like(residual(frame)), ResidualForm.ABSOLUTE, 2.0)
    assert found[measure] == [criterion_value(expected, Criterion.KURTOSIS)]
    assert steps == [1]
