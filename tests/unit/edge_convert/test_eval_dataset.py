"""Finding test images, labels and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from eval_parts import grey, mvtec_set, save, save_mask, spot_mask

from edge_convert.evaluate.dataset import DatasetError, load_mask, open_dataset

if TYPE_CHECKING:
    from pathlib import Path


def test_mvtec_convention_is_found(tmp_path: Path) -> None:
    """Labels come from the folders, good first; masks are found by name; train is left alone."""
    dataset = open_dataset(mvtec_set(tmp_path))
    assert [sample.file for sample in dataset.samples] == [
        "test/good/a.png",
        "test/good/b.png",
        "test/scratch/a.png",
        "test/spot/a.png",
        "test/spot/b.png",
    ]
    assert dataset.counts() == {"good": 2, "scratch": 1, "spot": 2}
    assert dataset.without_mask() == {"scratch": 1}
    assert dataset.has_ground_truth
    assert dataset.samples[3].mask == tmp_path / "ground_truth" / "spot" / "a_mask.png"


def test_plain_folders_are_found(tmp_path: Path) -> None:
    """`good` beside any folder of defects is a dataset too, without masks."""
    for file in ("good/1.png", "cracked/1.png", "cracked/deeper/2.png"):
        save(tmp_path / file, grey(10))
    dataset = open_dataset(tmp_path)
    assert dataset.counts() == {"good": 1, "cracked": 2}
    assert not dataset.has_ground_truth


def test_what_is_no_image_is_not_a_sample(tmp_path: Path) -> None:
    """Notes, hidden files and thumbnails' databases in the folders are passed over."""
    mvtec_set(tmp_path)
    for name in ("notes.txt", ".hidden.png", "Thumbs.db"):
        (tmp_path / "test" / "good" / name).write_bytes(b"x")
    assert open_dataset(tmp_path).counts()["good"] == 2


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "no folder with images"),
        (["test/defect/1.png"], "only defect"),
        (["test/good/1.png"], "good parts only"),
        (["ok/1.png", "bad/1.png"], "only bad, ok"),
    ],
)
def test_a_folder_that_is_no_dataset_says_what_was_found_and_what_to_do(tmp_path, files, says) -> None:
    """The error names what is there and the layout that is expected."""
    for file in files:
        save(tmp_path / file, grey(10))
    with pytest.raises(DatasetError, match=says) as caught:
        open_dataset(tmp_path)
    assert "test/good and test/<defect>" in caught.value.action


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A wrong path is an error that repeats it."""
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        open_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("limit", [2, 3, 4, 7, 100])
def test_a_limit_spreads_over_labels_and_folders(tmp_path: Path, limit: int) -> None:
    """Labels take turns, no image comes twice, and the choice does not huddle at a folder's beginning."""
    for index in range(20):
        save(tmp_path / "good" / f"{index:02}.png", grey(10))
    for index in range(3):
        save(tmp_path / "bent" / f"{index}.png", grey(10))
    dataset = open_dataset(tmp_path, limit)
    files = [sample.file for sample in dataset.samples]
    assert len(files) == len(set(files)) == min(limit, 23)
    assert dataset.counts()["bent"] == min(limit // 2, 3)
    assert dataset.found == 23
    if limit == 4:
        assert files == ["good/00.png", "good/10.png", "bent/0.png", "bent/1.png"]


def test_masks_of_any_kind_are_true_where_anything_is_marked(tmp_path: Path) -> None:
    """0/1 and 0/255, grey and colour masks mean the same."""
    expected = spot_mask()
    paths = (
        save_mask(tmp_path / "grey.png", expected),
        save(tmp_path / "ones.png", expected.astype(np.uint8)),
        save(tmp_path / "red.png", np.stack([expected * np.uint8(200), expected * np.uint8(0)] * 2, axis=2)[:, :, :3]),
    )
    for path in paths:
        assert np.array_equal(load_mask(path), expected)
