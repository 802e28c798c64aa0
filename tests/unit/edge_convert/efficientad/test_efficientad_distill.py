"""A teacher is distilled from any backbone, and resuming changes nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import make_teacher, press_ctrl_c  # noqa: E402
from tiny_backbone import CHANNELS, write_backbone, write_parts  # noqa: E402

from edge_convert.backbone import choose_layers, load_backbone  # noqa: E402
from edge_convert.efficientad.data import Views  # noqa: E402
from edge_convert.efficientad.distill import DistillOptions, distill  # noqa: E402
from edge_convert.efficientad.networks import PdnSize  # noqa: E402
from edge_convert.efficientad.optimise import Schedule  # noqa: E402
from edge_convert.efficientad.targets import Targets  # noqa: E402
from edge_convert.efficientad.teacher_file import read_teacher, write_teacher  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402
from edge_runtime.domain.errors import ConfigError  # noqa: E402
from edge_runtime.ops.clock import SystemClock  # noqa: E402


@pytest.fixture
def options(tmp_path) -> DistillOptions:
    """Six steps on 64 pixels."""
    return DistillOptions(
        backbone=write_backbone(tmp_path / "backbone.onnx"),
        folders=(write_parts(tmp_path / "good", 3),),
        out=tmp_path / "teacher.npz",
        start="drawn",
        schedule=Schedule(steps=6, batch=2, learning_rate=1e-3, crop=48),
        scenes=3,
        per_image=2,
        side_px=64,
        device="cpu",
        threads=1,
        save_every=2,
    )


class _StopsAfter(Silent):
    """Presses Ctrl-C when so many steps of training are done."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def notice(self, text: str) -> None:
        if text.startswith("step "):
            self._left -= 1
            if not self._left:
                press_ctrl_c()


def test_an_interrupted_distillation_ends_with_the_same_teacher(options, tmp_path):
    """Stopped after three steps and resumed, the weights are equal to the last bit."""
    whole = distill(options, Silent(), SystemClock()).teacher
    cut = replace(options, out=tmp_path / "cut.npz")
    stopped = distill(cut, _StopsAfter(3), SystemClock())
    assert stopped.teacher is None
    assert stopped.outcome.steps == 3
    resumed = distill(replace(cut, resume=True), Silent(), SystemClock()).teacher
    assert whole is not None
    assert resumed is not None
    for name, values in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], values)
    assert not (tmp_path / "cut.npz.checkpoint").exists()


def test_the_teacher_file_says_from_what_it_was_made(options):
    """Channels, backbone, images and schedule can be read back, and that the paper takes more steps."""
    distill(options, Silent(), SystemClock())
    teacher = read_teacher(options.out)
    assert teacher.channels == CHANNELS["layer2"] + CHANNELS["layer3"]
    assert "backbone.onnx sha256" in teacher.notes["backbone"]
    assert "3 procedural scenes, 2 views of each of 3 images" in teacher.notes["distilled_on"]
    assert "60000" in teacher.notes["shortened"]


def test_distillation_learns(options):
    """The loss falls below the variance of the targets, which silence would have cost."""
    longer = replace(options, schedule=Schedule(steps=40, batch=2, learning_rate=1e-3, crop=48))
    outcome = distill(longer, Silent(), SystemClock()).outcome
    assert outcome.last_loss < 0.95


def test_a_teacher_can_be_solved_for_without_a_step(options):
    """It explains a part of the views that it was not solved on, and the file says how much."""
    solved = replace(options, size=PdnSize.XS, start="solved", schedule=Schedule(0, 1), scenes=40)
    distill(solved, Silent(), SystemClock())
    found = re.search(r"unseen views (\d\.\d+)", read_teacher(options.out).notes["start"])
    assert found is not None
    assert float(found.group(1)) < 1


def test_targets_do_not_depend_on_the_memory(options, tmp_path):
    """Features made again equal those that were kept, and are finite."""
    views = Views(options.folders, scenes=1, per_image=2, per_folder=2, seed=0, side_px=128)
    backbone = load_backbone(options.backbone, 128, 128)
    layers = choose_layers(backbone, ())
    kept, again = (Targets(backbone, layers, views, 384, 1, cache_mb) for cache_mb in (100, 0))
    for index in range(len(views)):
        kept.of(index)
        np.testing.assert_array_equal(kept.of(index), again.of(index))
    assert len(views) == 5
    assert kept.of(0).shape == (kept.channels, 16, 16)


def test_features_are_averaged_down_to_the_channels_that_a_teacher_may_have(options):
    """Each of fewer channels is the mean of neighbours, none is lost, and as many as there are stay as they are."""
    views = Views(options.folders, scenes=1, per_image=0, per_folder=1, seed=0, side_px=128)
    backbone = load_backbone(options.backbone, 128, 128)
    whole, fewer = (Targets(backbone, choose_layers(backbone, ()), views, most, 1, 0) for most in (384, 7))
    every = whole.of(0).astype(np.float32)
    assert fewer.channels == 7
    width = whole.channels // 7
    means = every.reshape(7, width, *every.shape[1:]).mean(axis=1)
    np.testing.assert_allclose(fewer.of(0), means, rtol=2e-3, atol=2e-3)


def test_a_backbone_without_stride_8_is_refused(options):
    """A PDN's cells would not lie over the backbone's."""
    with pytest.raises(ConfigError, match="stride of 8"):
        distill(replace(options, layers=("layer3",)), Silent(), SystemClock())


def test_a_teacher_survives_its_file(tmp_path):
    """Weights are the same bits, and the same teacher gives the same bytes."""
    teacher = make_teacher()
    write_teacher(tmp_path / "a.npz", teacher)
    write_teacher(tmp_path / "b.npz", teacher)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_teacher(tmp_path / "a.npz")
    assert (found.size, found.channels, found.notes) == (teacher.size, teacher.channels, teacher.notes)
    for name, values in teacher.weights.items():
        np.testing.assert_array_equal(found.weights[name], values)


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"PK\x03\x04"])
def test_what_is_no_teacher_is_refused(tmp_path, content):
    """A missing or foreign file is reported with what makes a teacher."""
    path = tmp_path / "teacher.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_teacher(path)
    assert "edge-convert distill" in caught.value.action
