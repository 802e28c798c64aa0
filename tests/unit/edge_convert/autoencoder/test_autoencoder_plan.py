"""Options of autoencoder training, the split of images, and the command's manners. None of it needs PyTorch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_backbone import write_parts
from typer.testing import CliRunner

from edge_convert.autoencoder.pictures import all_grey, input_spec, load_pictures
from edge_convert.autoencoder.plan import ModelName, TrainPlan
from edge_convert.cli import app
from edge_convert.images import survey
from edge_convert.progress import Silent
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.encode import encode_png
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height_px": 100}, "--size"),
        ({"width_px": 16}, "--size"),
        ({"height_px": 2048, "width_px": 2048}, "--size"),
        ({"batch": 1}, "--batch"),
        ({"width": 2}, "--width"),
        ({"latent": 0}, "--latent"),
        ({"holdout": 0.0}, "--holdout"),
        ({"holdout": 0.7}, "--holdout"),
        ({"rate": float("nan")}, "--rate"),
        ({"beta": -1.0}, "--beta"),
        ({"annealing": 1.5}, "--annealing"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(changes: dict[str, float], said: str) -> None:
    """The message names the option."""
    with pytest.raises(ConfigError, match=said):
        TrainPlan(**changes).check()


@given(st.sampled_from([32, 64, 96, 128, 160, 192, 256, 512, 1024]), st.integers(1, 3))
def test_the_bottleneck_has_four_to_seven_cells_on_the_shorter_side(side: int, ratio: int) -> None:
    """Whatever the picture's size: so the latent's layers do not grow with it."""
    plan = TrainPlan(height_px=side, width_px=side * ratio)
    assert 4 <= side >> plan.stages <= 7


def test_few_images_get_more_epochs() -> None:
    """Enough for 1600 steps; many images get 20 epochs; what was asked for stays."""
    plan = TrainPlan(batch=32)
    assert (plan.sized(2587, None, None).epochs, plan.sized(2587, None, None).patience) == (20, 10)
    assert (plan.sized(40, None, None).epochs, plan.sized(40, None, None).patience) == (800, 200)
    assert (plan.sized(40, 3, 2).epochs, plan.sized(40, 3, 2).patience) == (3, 2)


def test_pictures_are_what_the_device_will_see(tmp_path: Path) -> None:
    """To the byte: the same decoding, colour, crop and resize; a held-out picture is not trained on."""
    images = survey(write_parts(tmp_path / "good", 6))
    plan = TrainPlan(height_px=32, width_px=64, channels=3, holdout=0.34)
    spec = input_spec(plan, (8, 4, 100, 80))
    pictures = load_pictures(images, plan, spec, Silent())
    assert pictures.training.shape == (4, 3, 32, 64)
    for place, index in enumerate(pictures.held_out_indices):
        seen = prepare(images.load(index), spec)[0]
        np.testing.assert_allclose(pictures.held_out[place] / 255, seen, atol=1e-7)
        assert not any(np.array_equal(pictures.held_out[place], other) for other in pictures.training)


def test_grey_pictures_are_known_from_their_pixels(tmp_path: Path) -> None:
    """Three equal channels are grey; one coloured picture among the probes is enough for colour."""
    folder = tmp_path / "grey"
    folder.mkdir()
    grey = np.random.default_rng(0).integers(0, 255, (20, 20, 1)).astype(np.uint8)
    (folder / "a.png").write_bytes(encode_png(np.repeat(grey, 3, axis=2)))
    (folder / "b.png").write_bytes(encode_png(grey[:, :, 0]))
    assert all_grey(survey(folder))
    write_parts(folder, 1)
    assert not all_grey(survey(folder))


def test_help_needs_no_pytorch() -> None:
    """Neither `train --help` nor `train autoencoder --help` imports it; both name what is there."""
    done = CliRunner().invoke(app, ["train", "--help"])
    assert done.exit_code == 0
    assert "autoencoder" in done.stdout
    code = (
        "import sys; from edge_convert.cli import app; app(['train', 'autoencoder', '--help'], standalone_mode=False)"
    )
    check = f"{code}; assert not {{'torch', 'onnx', 'nncf', 'openvino'}} & set(sys.modules), sys.modules.keys()"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "--criterion" in found.stdout


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed here")
def test_without_pytorch_the_command_says_what_to_install(tmp_path: Path) -> None:
    """Exit code 2 and the extra's name, no traceback."""
    done = CliRunner().invoke(app, ["train", "autoencoder", str(tmp_path), "--out", str(tmp_path / "x.bundle")])
    assert done.exit_code == 2
    assert "edge-runtime[convert,train]" in done.stderr


@pytest.mark.parametrize(("option", "text"), [("--size", "big"), ("--size", "64x64x3"), ("--size", "70")])
def test_a_wrong_size_ends_with_words_and_code_2(tmp_path: Path, option: str, text: str) -> None:
    """Before anything is read or installed."""
    arguments = ["train", "autoencoder", str(tmp_path), "--out", str(tmp_path / "x.bundle"), option, text]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert option in done.stderr


@pytest.mark.parametrize("model", ModelName)
def test_a_plan_can_be_written_down(model: ModelName) -> None:
    """Plain values only, so that a checkpoint can be read without running what is in it."""
    document = TrainPlan(model=model).document()
    assert document["model"] == model.value
    assert all(type(value) in {int, float, str, type(None)} for value in document.values())
