"""Pictures for training: drawn, cut, and always the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny_backbone import write_parts  # noqa: E402

from edge_convert.efficientad.data import UnrelatedFolder, UnrelatedScenes  # noqa: E402
from edge_convert.efficientad.parts import as_inspected  # noqa: E402
from edge_convert.efficientad.procedural import draw_scene  # noqa: E402
from edge_runtime.domain.errors import ImageError  # noqa: E402
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize  # noqa: E402
from edge_runtime.vision.prepare import prepare  # noqa: E402


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(20, 150),
    width=st.integers(20, 150),
    deep=st.booleans(),
    mono=st.booleans(),
    cut=st.booleans(),
    seed=st.integers(0, 99),
)
def test_training_sees_what_the_device_will_prepare(height, width, deep, mono, cut, seed):
    """The training's own preprocessing and the device's give the same pixels, for any frame."""
    kind = np.uint16 if deep else np.uint8
    shape = (height, width) if mono else (height, width, 3)
    frame = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)
    region = (2, 3, width - 5, height - 4) if cut else None
    spec = InputSpec("image", 64, 96, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8", region=region)
    np.testing.assert_array_equal(as_inspected(frame, spec), prepare(frame, spec)[0])


def test_a_region_beyond_the_frame_is_refused():
    """It is not silently made smaller."""
    with pytest.raises(ImageError, match="region"):
        as_inspected(
            np.zeros((50, 50, 3), np.uint8),
            InputSpec("image", 64, 64, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8", region=(10, 10, 60, 20)),
        )


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), side=st.sampled_from([64, 96, 256]))
def test_scenes_are_pictures_with_something_in_them(seed, side):
    """Any seed gives a picture that is not one flat colour."""
    scene = draw_scene(np.random.default_rng(seed), side)
    assert scene.shape == (side, side, 3)
    assert scene.dtype == np.uint8
    assert scene.std() > 1


def test_scenes_differ_by_number_and_repeat_by_seed():
    """The n-th unrelated picture is the same in every run of the same seed."""
    scenes = UnrelatedScenes(64, 96)
    assert scenes.picture(1, 5).shape == (64, 96, 3)
    np.testing.assert_array_equal(scenes.picture(1, 5), scenes.picture(1, 5))
    assert not np.array_equal(scenes.picture(1, 5), scenes.picture(1, 6))
    assert not np.array_equal(scenes.picture(1, 5), scenes.picture(2, 5))


def test_unrelated_pictures_of_a_folder_have_the_inputs_size_and_some_are_grey(tmp_path):
    """Three of ten are grey, as in the paper."""
    folder = UnrelatedFolder(write_parts(tmp_path / "others", 4), 64, 96)
    pictures = [folder.picture(0, number) for number in range(60)]
    assert {picture.shape for picture in pictures} == {(64, 96, 3)}
    grey = sum(bool((picture == picture[:, :, :1]).all()) for picture in pictures)
    assert 8 <= grey <= 30
