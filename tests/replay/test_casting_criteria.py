from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from casting_criteria import PUBLISHED, beside_line, figures_of

from edge_convert.evaluate.metrics import image_ap, image_auroc

if TYPE_CHECKING:
    from pathlib import Path


def test_figures_as_they_are_and_balanced() -> None:
    """Six images by hand: the best F1 takes one false alarm, the balanced threshold does not."""
    good, bad = [0.1, 0.2, 0.5], [0.3, 0.6, 0.7]
    found = figures_of(good, bad)
    assert found.auroc == pytest.approx(8 / 9)
    assert (found.f1, found.accuracy) == (pytest.approx(6 / 7), pytest.approx(5 / 6))
    assert found.balanced_accuracy == pytest.approx(5 / 6)
    assert found.balanced_auprc == pytest.approx(found.auprc) == image_ap(good, bad)


def test_balanced_figures_do_not_depend_on_how_many_images_there_are() -> None:
    """Every defective image twice more: what is balanced stays, what is not moves."""
    good, bad = [0.1, 0.4, 0.45, 0.2], [0.3, 0.6, 0.42]
    few, many = figures_of(good, bad), figures_of(good, bad * 3)
    assert many.auroc == few.auroc == image_auroc(good, bad)
    assert many.balanced_auprc == pytest.approx(few.balanced_auprc)
    assert many.balanced_f1 == pytest.approx(few.balanced_f1)
    assert many.balanced_accuracy == pytest.approx(few.balanced_accuracy)
    assert many.auprc > few.auprc
    assert many.f1 > few.f1


def test_the_published_figures_are_not_of_the_sets_own_share_of_defects() -> None:
    """F1 and accuracy bound the share of positives on both sides; neither 453 nor 262 of 715 lies between."""
    lowest, highest = 0.0, 1.0
    for _, _, f1, accuracy in PUBLISHED.values():
        wrong = 1 - accuracy
        hits = f1 / (1 - f1) * wrong / 2
        lowest, highest = max(lowest, hits), min(highest, hits + wrong)
    assert (lowest, highest) == (pytest.approx(0.460, abs=5e-4), pytest.approx(0.584, abs=5e-4))
    assert lowest > 262 / 715
    assert highest < 453 / 715


def test_another_detectors_scores_are_read_from_eval(tmp_path: Path) -> None:
    """Images without a score are left out."""
    rows = [("good", 0.1), ("good", 0.2), ("scratch", 0.9), ("scratch", None)]
    images = [{"label": label, "score": score} for label, score in rows]
    (tmp_path / "f.json").write_text(json.dumps({"images": images}))
    assert beside_line("PatchCore", tmp_path / "f.json").startswith("| PatchCore | – | high | 1.0000 | 1.0000 | 1.0000")
