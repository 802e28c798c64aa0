"""Preprocessing as trainers write it down: torchvision's names, anomalib's specification, albumentations' metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edge_convert.importing.metadata import Normalisation, read_metadata
from edge_convert.importing.stated import Stated
from edge_convert.importing.transforms import read_transforms
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Resize

if TYPE_CHECKING:
    from pathlib import Path

NORMALIZE = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RESIZE = {"type": "Resize", "size": [256, 320], "interpolation": "bilinear", "antialias": True}


def written(folder: Path, document: object) -> Path:
    """A JSON file."""
    path = folder / "preprocess.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def transforms(folder: Path, *steps: object, **more: object) -> Stated:
    """What a list of transforms amounts to."""
    return read_transforms(written(folder, {"transforms": list(steps), **more}))


def test_the_customary_chain_is_read(tmp_path: Path) -> None:
    """Resize on PIL images, centre crop, tensor in 0…1, normalised."""
    found = transforms(tmp_path, RESIZE, {"type": "CenterCrop", "size": 224}, {"type": "ToTensor"}, NORMALIZE)
    assert found == Stated(
        input_px=(224, 224),
        resized_px=(256, 320),
        fit=Fit.STRETCH,
        resize=Resize.LINEAR_ANTIALIAS,
        keep_fractions=False,
        colour=ColourOrder.RGB,
        scale=1.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def test_the_order_of_resize_and_tensor_decides_about_fractions(tmp_path: Path) -> None:
    """Behind ToDtype(scale) pixels are floats: nothing is rounded; in front of it they are whole."""
    floats = {"type": "ToDtype", "scale": True}
    assert transforms(tmp_path, {"type": "ToImage"}, floats, RESIZE).keep_fractions
    assert not transforms(tmp_path, {"type": "ToImage"}, RESIZE, floats).keep_fractions


@pytest.mark.parametrize(
    ("step", "before", "expected"),
    [
        ({"antialias": False}, [], Resize.LINEAR_ANTIALIAS),  # PIL always widens its filter
        ({"antialias": False}, [{"type": "ToImage"}], Resize.LINEAR),
        ({"antialias": False}, [{"type": "ToTensor"}], Resize.LINEAR),
        ({}, [{"type": "ToTensor"}], Resize.LINEAR_ANTIALIAS),  # torchvision's default
        ({"interpolation": "bicubic"}, [], Resize.CUBIC_ANTIALIAS),
        ({"interpolation": 3}, [], Resize.CUBIC_ANTIALIAS),
        ({"interpolation": "InterpolationMode.NEAREST"}, [], Resize.NEAREST),
    ],
)
def test_interpolation_and_antialiasing_name_the_resize(
    tmp_path: Path, step: dict[str, object], before: list[object], expected: Resize
) -> None:
    """As torchvision treats PIL images and tensors."""
    assert transforms(tmp_path, *before, {"type": "Resize", "size": [8, 8], **step}).resize is expected


def test_one_number_keeps_proportions(tmp_path: Path) -> None:
    """`Resize(256)` is about the shorter side."""
    found = transforms(tmp_path, {"type": "Resize", "size": 256}, {"type": "CenterCrop", "size": [224, 192]})
    assert (found.fit, found.resized_px, found.input_px) == (Fit.SHORTER_SIDE, (256, 256), (224, 192))
    assert transforms(tmp_path, {"type": "Resize", "size": [256]}).fit is Fit.SHORTER_SIDE


def test_pixels_that_nobody_scales_stay_in_0_to_255(tmp_path: Path) -> None:
    """A conversion to float without scale, or none at all."""
    assert transforms(tmp_path, RESIZE).scale == 255.0
    assert transforms(tmp_path, RESIZE, {"type": "ToDtype", "scale": False}).scale == 255.0
    assert transforms(tmp_path, RESIZE, {"type": "ToDtype", "scale": True}).scale == 1.0


def test_colours_are_stated_or_grey(tmp_path: Path) -> None:
    """BGR as OpenCV's users have it; Grayscale makes one channel."""
    assert transforms(tmp_path, RESIZE, colour="bgr").colour is ColourOrder.BGR
    assert transforms(tmp_path, {"type": "Grayscale"}, RESIZE).colour is ColourOrder.MONO


def test_anomalibs_own_specification_is_read(tmp_path: Path) -> None:
    """`class_path` and `init_args`, composed; anomalib's images are floats from the start."""
    document = {
        "class_path": "torchvision.transforms.v2.Compose",
        "init_args": {
            "transforms": [
                {
                    "class_path": "torchvision.transforms.v2.Resize",
                    "init_args": {"size": [256, 256], "interpolation": "bilinear", "antialias": True},
                },
                {"class_path": "torchvision.transforms.v2.Normalize", "init_args": {"mean": [0.5], "std": [0.5]}},
            ]
        },
    }
    found = read_transforms(written(tmp_path, document))
    assert (found.resize, found.keep_fractions, found.scale) == (Resize.LINEAR_ANTIALIAS, True, 1.0)
    assert (found.mean, found.std) == ((0.5,), (0.5,))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"type": "RandomCrop"}], "'RandomCrop', which no bundle can apply"),
        ([{"size": 3}], "without a type"),
        ([RESIZE, RESIZE], "resizes twice"),
        ([NORMALIZE, RESIZE], "after normalising"),
        ([{"type": "CenterCrop", "size": 8}], "no Resize before it"),
        ([{"type": "Resize"}], "Resize has no size"),
        ([{"type": "Resize", "size": [8, 8], "interpolation": "lanczos"}], "'lanczos' is unknown"),
        ([{"type": "Normalize", "mean": [0.5]}], "needs mean and std"),
    ],
)
def test_what_no_bundle_can_express_is_refused(tmp_path: Path, steps: list[object], message: str) -> None:
    """Nothing is skipped in silence."""
    with pytest.raises(ConfigError, match=message):
        transforms(tmp_path, *steps)


def test_flags_win_over_files() -> None:
    """What is said nearer to the person counts; silence takes over the rest."""
    flags, file = Stated(resize=Resize.AREA), Stated(resize=Resize.LINEAR, scale=255.0)
    assert flags.over(file) == Stated(resize=Resize.AREA, scale=255.0)


def test_metadata_of_albumentations_is_read(tmp_path: Path) -> None:
    """Anomalib 0.x: transforms, thresholds and one range for maps and scores."""
    document = {
        "transform": {
            "__version__": "1.3.1",
            "transform": {
                "__class_fullname__": "Compose",
                "transforms": [
                    {"__class_fullname__": "Resize", "height": 256, "width": 320, "interpolation": 1},
                    {"__class_fullname__": "CenterCrop", "height": 224, "width": 224},
                    {
                        "__class_fullname__": "Normalize",
                        "mean": [0.485, 0.456, 0.406],
                        "std": [0.229, 0.224, 0.225],
                        "max_pixel_value": 255.0,
                    },
                    {"__class_fullname__": "ToTensorV2"},
                ],
            },
        },
        "image_threshold": 12.5,
        "pixel_threshold": 11.0,
        "min": 2.0,
        "max": [22.0],
    }
    found = read_metadata(written(tmp_path, document))
    assert found.stated == Stated(
        input_px=(224, 224),
        resized_px=(256, 320),
        fit=Fit.STRETCH,
        resize=Resize.LINEAR,
        keep_fractions=False,
        colour=ColourOrder.RGB,
        scale=1.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    assert found.score == Normalisation(12.5, 20.0)
    assert found.anomaly_map == Normalisation(11.0, 20.0)
    assert found.threshold == 12.5


def test_metadata_without_a_range_leaves_scores_raw(tmp_path: Path) -> None:
    """A threshold alone is still the source's limit."""
    found = read_metadata(written(tmp_path, {"image_threshold": 3.0}))
    assert found.score is None
    assert found.threshold == 3.0


def test_a_strange_transform_in_metadata_is_refused(tmp_path: Path) -> None:
    """Rather than importing a model that sees something else."""
    document = {"transform": {"transform": {"transforms": [{"__class_fullname__": "CLAHE"}]}}}
    with pytest.raises(ConfigError, match="'CLAHE', which no bundle can apply"):
        read_metadata(written(tmp_path, document))


@pytest.mark.parametrize(
    ("step", "message"),
    [({"__class_fullname__": "Resize", "width": 8}, "no height and width"), ("Resize", "is none: 'Resize'")],
)
def test_damaged_metadata_is_refused_in_words(tmp_path: Path, step: object, message: str) -> None:
    """A transform without its size, or without its settings."""
    with pytest.raises(ConfigError, match=message):
        read_metadata(written(tmp_path, {"transform": {"transform": {"transforms": [step]}}}))
