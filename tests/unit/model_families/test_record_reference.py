from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from model_families.record_reference import Answer, before_the_cut, find_images, label_of, record, write_reference


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two good parts, a scratched one, and files that are no images."""
    folder = tmp_path / "images"
    for name, colour in (("good/b.png", (10, 20, 30)), ("good/a.png", (1, 2, 3)), ("scratch/c.jpg", (200, 0, 0))):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), colour).save(file)
    (folder / "good" / "notes.txt").write_text("not an image")
    (folder / ".cache").mkdir()
    Image.new("L", (2, 2)).save(folder / ".cache" / "thumbnail.png")
    return folder


def _mean_and_plane(pixels: np.ndarray) -> tuple[float, np.ndarray]:
    return float(pixels.mean()), pixels[:, :, 0].astype(np.float64)


def test_every_image_has_its_digest_its_label_its_score_and_its_map(images: Path, tmp_path: Path):
    """The reference names each image by its bytes and holds what the model said of its RGB pixels."""
    out = tmp_path / "reference"
    document = json.loads(record(_mean_and_plane, images, out, "trainer 1").read_text())

    assert (document["format"], document["source"]) == (0, "trainer 1")
    entries = {entry["file"]: entry for entry in document["images"]}
    assert list(entries) == ["good/a.png", "good/b.png", "scratch/c.jpg"]
    assert [entry["label"] for entry in entries.values()] == ["good", "good", "scratch"]
    second = entries["good/b.png"]
    assert second["sha256"] == hashlib.sha256((images / "good/b.png").read_bytes()).hexdigest()
    assert second["score"] == 20.0
    stored = np.load(out / second["map"])
    assert (stored.dtype, stored.shape) == (np.float32, (4, 6))
    assert np.all(stored == 10.0)


def test_a_model_without_a_map_leaves_the_maps_empty(images: Path, tmp_path: Path):
    """Families that give a score alone are recorded with a null in place of the map."""
    out = tmp_path / "reference"
    document = json.loads(record(lambda pixels: (float(pixels.max()), None), images, out, "s").read_text())

    assert [entry["map"] for entry in document["images"]] == [None, None, None]
    assert [path.name for path in out.iterdir()] == ["reference.json"]


def test_an_image_beside_the_folders_has_no_label(tmp_path: Path):
    """Where images lie directly in the folder, nobody has said what they are."""
    assert label_of(tmp_path / "a.png", tmp_path) == ""
    assert label_of(tmp_path / "hole" / "deep" / "a.png", tmp_path) == "hole"


def test_a_folder_without_images_is_an_error(tmp_path: Path):
    """An empty reference would let any bundle pass."""
    with pytest.raises(FileNotFoundError, match="no image in"):
        find_images(tmp_path)


def test_where_the_folder_lies_hides_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden is what is hidden inside the folder; `../parts` and a hidden folder above it are places like others."""
    parts, beside = tmp_path / ".data" / "parts", tmp_path / ".data" / "beside"
    for folder in (parts / "good", parts / ".trash", beside):
        folder.mkdir(parents=True)
    for place in ("good/a.png", ".trash/b.png", "good/.c.png"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(parts / place)
    monkeypatch.chdir(beside)
    assert [path.name for path in find_images(Path("..") / "parts")] == ["a.png"]
    assert [path.name for path in find_images(parts)] == ["a.png"]


def test_one_score_for_all_images_is_refused(images: Path, tmp_path: Path):
    """A model that sees nothing is found where it is trained; scores that are all cut to 0 still tell their side."""
    with pytest.raises(ValueError, match=r"all 3 images the same score, 0\.5"):
        record(lambda _: (0.5, None), images, tmp_path / "reference", "s")
    with pytest.raises(ValueError, match="all 3 images the same score"):  # but for rounding, as the import has it
        record(lambda pixels: (0.5 + 1e-10 * float(pixels.max()), None), images, tmp_path / "reference", "s")
    assert not (tmp_path / "reference" / "reference.json").exists()
    assert record(lambda _: (0.0, None), images, tmp_path / "cut", "s").is_file()


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(images: Path, tmp_path: Path, score: float):
    """A diverged model is named with the image, and leaves no listing that looks complete."""
    out = tmp_path / "reference"
    record(_mean_and_plane, images, out, "s")

    with pytest.raises(ValueError, match=r"good.a\.png"):
        record(lambda _: (score, None), images, out, "s")
    assert not (out / "reference.json").exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plane=arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-5, 5, width=32)),
    leading=st.integers(0, 2),
)
def test_a_map_is_kept_to_the_bit_whatever_axes_of_one_precede_it(
    images: Path, tmp_path: Path, plane: np.ndarray, leading: int
):
    """Batch and channel axes of length 1 are dropped; the values are the model's own."""
    out = tmp_path / "reference"
    file = images / "good" / "a.png"
    write_reference([Answer(file, 0.5, plane.reshape((1,) * leading + plane.shape))], images, out, "s")

    assert np.array_equal(np.load(out / "0001.npy"), plane)


def test_a_map_of_several_channels_is_refused(images: Path, tmp_path: Path):
    """Which of three channels is the anomaly map nobody can guess."""
    answer = Answer(images / "good" / "a.png", 0.5, np.zeros((3, 4, 4)))

    with pytest.raises(ValueError, match="one value per pixel"):
        write_reference([answer], images, tmp_path / "reference", "s")


@given(
    low=st.floats(-5, 5),
    span=st.floats(0.01, 10),
    place=st.floats(0, 1),
    raw=st.floats(-20, 20),
)
def test_a_score_before_the_cut_becomes_the_normalised_score_by_cutting(
    low: float, span: float, place: float, raw: float
):
    """As anomalib does it, the threshold lies at 0.5 and the range of validation has length 1."""
    threshold = low + place * span
    value = before_the_cut(raw, threshold, low, low + span)

    assert value is not None
    assert before_the_cut(threshold, threshold, low, low + span) == 0.5
    assert math.isclose(value - 0.5, (raw - threshold) / span, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(math.nan, math.nan), (0.3, 0.3), (-math.inf, 1.0)])
def test_without_a_range_nothing_was_normalised(low: float, high: float):
    """A model that was never validated gives its raw score, which nobody has cut."""
    assert before_the_cut(0.4, 0.2, low, high) is None


def test_the_score_before_the_cut_is_kept_only_where_there_is_one(images: Path, tmp_path: Path):
    """A reference of a model that cuts nothing has no such entry."""
    file = images / "good" / "a.png"
    out = tmp_path / "reference"
    listing = write_reference([Answer(file, 0.0, None, -0.25), Answer(file, 0.5, None)], images, out, "s")

    entries = json.loads(listing.read_text())["images"]
    assert entries[0]["unclamped"] == -0.25
    assert "unclamped" not in entries[1]
