"""From a folder of real images through the real detector to figures that can be worked out by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from eval_parts import (
    CONDITIONS,
    brightness_bundle,
    damaged_jpeg,
    detector_of,
    evaluation_of,
    grey,
    mvtec_set,
    save,
    save_mask,
    spot_mask,
)

from edge_convert.evaluate.assemble import evaluate
from edge_convert.evaluate.dataset import DatasetError, open_dataset
from edge_convert.evaluate.document import to_json
from edge_convert.evaluate.figures import confusion
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The brightness bundle."""
    return brightness_bundle(tmp_path / "b.bundle")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Good 50 and 120, spot 180 and 250, scratch 60 (grey levels)."""
    return mvtec_set(tmp_path / "set")


def test_figures_are_those_worked_out_by_hand(bundle: Path, dataset: Path) -> None:
    """Scores, dispositions, AUROC, AP, F1 and the miss rate follow from the five grey levels."""
    found = evaluation_of(bundle, dataset)
    assert [(round((row.score or 0) * 255), row.disposition) for row in found.rows] == [
        (50, "PASS"),
        (120, "REVIEW"),
        (60, "PASS"),
        (180, "REVIEW"),
        (250, "REJECT"),
    ]
    assert found.image is not None
    assert found.image.auroc == pytest.approx(5 / 6)
    assert found.image.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found.image.f1_max.value == pytest.approx(6 / 7)
    assert found.image.fnr_at_fpr5.value == pytest.approx(1 / 3)
    assert confusion(found.classes) == {
        "good": {"PASS": 1, "REVIEW": 1, "REJECT": 0, "fault": 0},
        "defect": {"PASS": 1, "REVIEW": 1, "REJECT": 1, "fault": 0},
    }
    assert found.false_pass is not None
    assert (found.false_pass.hits, found.false_pass.total) == (1, 3)
    assert found.repeatable is True
    assert found.problems == ()


def test_pixel_figures_use_masked_images_only(bundle: Path, dataset: Path) -> None:
    """The scratch has no mask: it is left out of the pixel figures and said to be; the spots are found perfectly."""
    found = evaluation_of(bundle, dataset)
    assert found.pixel is not None
    assert (found.pixel.images, found.pixel.regions) == (4, 2)
    assert found.pixel.auroc.value == pytest.approx(1.0, abs=1e-6)
    assert found.pixel.aupro.value == pytest.approx(1.0, abs=1e-6)
    assert "1 scratch" in found.pixel_note


def test_scores_are_the_detectors_own_bit_for_bit(bundle: Path, dataset: Path) -> None:
    """Nothing stands between the detector and the row: reading the JSON gives back exactly its float."""
    document = json.loads(to_json(evaluation_of(bundle, dataset)))
    with detector_of(bundle) as detector:
        for row in document["images"]:
            exposure = decode_image((dataset / row["file"]).read_bytes()).array
            assert row["score"] == detector.inspect((exposure,)).score


def test_damaged_and_misfit_images_are_named_not_counted(bundle: Path, dataset: Path) -> None:
    """A cut JPEG and a text file called .png become faults with a reason; the figures are those without them."""
    before = evaluation_of(bundle, dataset)
    (dataset / "test" / "good" / "cut.jpg").write_bytes(damaged_jpeg())
    (dataset / "test" / "spot" / "text.png").write_bytes(b"not an image")
    found = evaluation_of(bundle, dataset)
    assert [row.file for row in found.faults] == ["test/good/cut.jpg", "test/spot/text.png"]
    assert all(row.fault and row.disposition is None for row in found.faults)
    assert found.image == before.image
    assert confusion(found.classes)["good"]["fault"] == 1


def test_unusable_masks_are_named_and_leave_the_image_score(bundle: Path, dataset: Path) -> None:
    """A mask of another shape, an empty one and a damaged one are problems of the mask, not of the image."""
    truth = dataset / "ground_truth" / "spot"
    save(dataset / "test" / "spot" / "c.png", grey(40, 220))
    save_mask(truth / "a_mask.png", np.ones((32, 64), np.bool_))
    save_mask(truth / "b_mask.png", np.zeros((32, 32), np.bool_))
    (truth / "c_mask.png").write_bytes(b"no mask")
    found = evaluation_of(bundle, dataset)
    assert len(found.faults) == 0
    assert found.pixel is None
    assert found.pixel_note == "No mask could be used."
    said = "\n".join(found.problems)
    assert "a_mask.png has 64×32 pixels" in said
    assert "b_mask.png marks nothing" in said
    assert "c_mask.png cannot be read" in said


def test_map_is_brought_to_the_masks_size(bundle: Path, dataset: Path) -> None:
    """An image and mask four times as large as the map: the spot is still found, but for its interpolated rim."""
    save(dataset / "test" / "spot" / "a.png", grey(40, 180, side_px=128))
    save_mask(dataset / "ground_truth" / "spot" / "a_mask.png", spot_mask(128))
    found = evaluation_of(bundle, dataset)
    assert found.pixel is not None
    assert found.problems == ()
    assert found.pixel.auroc.value > 0.995


def test_region_of_interest_is_respected(tmp_path: Path) -> None:
    """With only the right half inspected a spot on the left is never found, and the score does not see it."""
    bundle = brightness_bundle(tmp_path / "b.bundle", region=(16, 0, 16, 32))
    found = evaluation_of(bundle, mvtec_set(tmp_path / "set"))
    assert round((found.rows[-1].score or 0) * 255) == 40
    assert found.pixel is not None
    assert found.pixel.auroc.value == 0.0
    assert found.pixel.aupro.value == 0.0


def test_region_of_interest_places_the_map_where_it_was_taken(tmp_path: Path) -> None:
    """With only the left upper quarter inspected, stretched to the map's size, the spot is found where it is."""
    bundle = brightness_bundle(tmp_path / "b.bundle", region=(0, 0, 16, 16))
    found = evaluation_of(bundle, mvtec_set(tmp_path / "set"))
    assert found.pixel is not None
    assert found.pixel.auroc.value > 0.99


def test_bundle_without_map_gives_image_figures_only(tmp_path: Path, dataset: Path) -> None:
    """A score-only model is evaluated all the same, and the report can say why pixel figures are missing."""
    found = evaluation_of(brightness_bundle(tmp_path / "s.bundle", with_map=False), dataset)
    assert found.image is not None
    assert found.pixel is None
    assert found.pixel_note == "The bundle gives no anomaly map."


def test_test_image_that_was_trained_on_is_named(bundle: Path, dataset: Path) -> None:
    """The same file in train and in test is a problem that an auditor must see."""
    (dataset / "test" / "good" / "again.png").write_bytes((dataset / "train" / "good" / "t.png").read_bytes())
    assert evaluation_of(bundle, dataset).problems == ("test/good/again.png is the same file as train/good/t.png",)


def test_a_training_image_that_cannot_be_read_is_named(bundle: Path, dataset: Path) -> None:
    """Whether it is tested on as well is then not known; the figures are made all the same."""
    dead = dataset / "train" / "good" / "dead.png"
    dead.symlink_to("/proc/self/mem")
    try:
        problems = evaluation_of(bundle, dataset).problems
    finally:
        dead.unlink()
    assert [text for text in problems if "dead.png" in text] == [
        "train/good/dead.png cannot be read (Input/output error): it may be one of the test images"
    ]


def test_nothing_to_inspect_is_an_error(bundle: Path, tmp_path: Path) -> None:
    """If not one image can be scored there is no evaluation, and the first reason is given."""
    for label in ("good", "bad"):
        folder = tmp_path / "set" / label
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="none of the 2 images"):
        evaluation_of(bundle, tmp_path / "set")


def test_score_that_is_no_number_is_a_fault(bundle: Path, dataset: Path) -> None:
    """A model that returns NaN for a part gives a fault, not a figure and not a crash."""

    class Blind:
        """The real detector, but blind to dark parts."""

        def __init__(self, detector: Detector) -> None:
            self._detector = detector

        @property
        def bundle(self) -> ModelBundle:
            return self._detector.bundle

        def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
            found = self._detector.inspect(exposures)
            return type(found)(float("nan"), found.anomaly_map) if found.score < 55 / 255 else found

    with detector_of(bundle) as detector:
        blind = Blind(detector)
        found = evaluate(blind, (), open_dataset(dataset), CONDITIONS, SimulatedClock(), lambda: None)
    assert [(row.file, row.fault) for row in found.faults] == [("test/good/a.png", "the model returned nan")]


def test_json_says_everything_that_issue_and_auditor_ask_for(bundle: Path, dataset: Path) -> None:
    """Every named figure, the identity, the limits and the rows stand in the JSON, which is strict JSON."""
    text = to_json(evaluation_of(bundle, dataset))
    assert "NaN" not in text
    document = json.loads(text)
    figures = {"image_auroc", "image_ap", "f1_max", "pixel_auroc", "aupro", "fnr_at_fpr5"}
    assert all(isinstance(document["figures"][name], float) for name in figures)
    assert document["bundle"]["trust"] == "development"
    assert len(document["bundle"]["digest"]) == 64
    assert document["latency_ms"]["images"] == 5
    assert document["at_limits"]["false_pass"]["hits"] == 1
    row = document["images"][0]
    assert set(row) == {"file", "label", "sha256", "score", "disposition", "latency_ms", "fault"}
