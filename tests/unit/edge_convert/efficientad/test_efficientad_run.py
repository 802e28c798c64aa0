"""`train efficientad` from a folder to a bundle that the daemon runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import press_ctrl_c, write_teacher_file  # noqa: E402
from tiny_backbone import draw_part, write_parts  # noqa: E402

from edge_convert.convert.source import ConvertOptions  # noqa: E402
from edge_convert.efficientad.command import EfficientAdFlags, train_options  # noqa: E402
from edge_convert.efficientad.networks import PdnSize  # noqa: E402
from edge_convert.efficientad.optimise import Schedule  # noqa: E402
from edge_convert.efficientad.options import EfficientAdOptions  # noqa: E402
from edge_convert.efficientad.run import train_efficientad  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402
from edge_runtime.app.inspection import load_inspector  # noqa: E402
from edge_runtime.config.engine import EngineSettings  # noqa: E402
from edge_runtime.domain.errors import ConfigError, EdgeError  # noqa: E402
from edge_runtime.domain.model_bundle import DetectorKind  # noqa: E402
from edge_runtime.ops.clock import SystemClock  # noqa: E402

_ENGINE = EngineSettings(name="onnxruntime", threads=1)


@pytest.fixture
def options(tmp_path) -> EfficientAdOptions:
    """A few steps on 64 pixels; the model is poor, the way is real."""
    return EfficientAdOptions(
        images=write_parts(tmp_path / "good", 24),
        teacher=write_teacher_file(tmp_path / "teacher.npz"),
        convert=ConvertOptions(tmp_path / "x.bundle", "tiny", "1", _ENGINE, precision="fp32", golden=1),
        checkpoint=tmp_path / "x.checkpoint",
        student="learnt",
        schedule=Schedule(steps=10, batch=2, learning_rate=1e-3, crop=48),
        height_px=64,
        width_px=64,
        onnx=tmp_path / "x.onnx",
        device="cpu",
        threads=1,
        save_every=4,
    )


def _weights(path):
    return {entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer}


def test_training_gives_a_bundle_that_the_daemon_opens(options):
    """It has the kind, the notes on how short the training was, and a score for a frame."""
    report = train_efficientad(options, Silent(), SystemClock())
    assert report.trained_images + report.held_out_images == 24
    with load_inspector(options.convert.out, _ENGINE, "development") as inspector:
        bundle = inspector.bundle
        found = inspector.detector.inspect((draw_part(99),))
    assert bundle.kind is DetectorKind.EFFICIENTAD
    assert "70000" in bundle.notes["shortened"]
    assert "procedural scenes" in bundle.notes["unrelated_images"]
    assert np.isfinite(found.score)
    assert found.anomaly_map is not None
    assert found.anomaly_map.shape == (64, 64)
    assert not options.checkpoint.exists()
    json.dumps(report.document())


@pytest.mark.parametrize("size", [PdnSize.XS, PdnSize.S])
def test_a_student_solved_for_without_steps_has_no_autoencoder_beside_it(options, size):
    """One trunk and one last convolution; the bundle says what is not looked for, and tells a planted mark apart."""
    teacher = write_teacher_file(options.teacher, size)
    options = replace(options, student="solved", schedule=Schedule(0, 1), teacher=teacher, size=size)
    report = train_efficientad(options, Silent(), SystemClock())
    assert report.outcome.steps == 0
    assert "NaN" not in json.dumps(report.document())
    assert [node.name for node in onnx.load(options.onnx).graph.node if node.op_type == "Conv"] == [
        f"student/conv{number}" for number in (1, 2, 3, 4)
    ]
    with load_inspector(options.convert.out, _ENGINE, "development") as inspector:
        assert "misplaced" in inspector.bundle.notes["shortened"]
        assert inspector.bundle.notes["model"].startswith(f"EfficientAD-{size.value.upper()} (")
        good = [inspector.inspect((draw_part(seed),)).score for seed in range(100, 110)]
        bad = [inspector.inspect((draw_part(seed, defect=True),)).score for seed in range(100, 110)]
    assert np.median(bad) > max(good)


def test_a_checkpoint_that_is_kept_is_converted_again(options, tmp_path):
    """Without training again: the second bundle holds the same numbers, those that are solved for included."""
    teacher = write_teacher_file(options.teacher, PdnSize.XS)
    options = replace(options, student="solved", teacher=teacher, size=PdnSize.XS)
    train_efficientad(replace(options, keep_checkpoint=True), Silent(), SystemClock())
    assert options.checkpoint.exists()
    convert = replace(options.convert, out=tmp_path / "y.bundle")
    again = replace(options, convert=convert, onnx=tmp_path / "y.onnx", resume=True)
    report = train_efficientad(again, Silent(), SystemClock())
    assert report.outcome.steps == options.schedule.steps
    first, second = _weights(tmp_path / "x.onnx"), _weights(tmp_path / "y.onnx")
    assert all(np.array_equal(values, second[name]) for name, values in first.items())
    assert not options.checkpoint.exists()


class _Interrupts(Silent):
    def __init__(self, step: int) -> None:
        self._text = f"step {step}:"

    def notice(self, text: str) -> None:
        if text.startswith(self._text):
            press_ctrl_c()


def test_resuming_gives_the_same_model_as_not_interrupting(options, tmp_path):
    """Every number of the exported graph is the same, dropout and quantiles included."""
    convert = replace(options.convert, out=tmp_path / "y.bundle")
    cut = replace(options, convert=convert, checkpoint=tmp_path / "y.checkpoint", onnx=tmp_path / "y.onnx")
    stopped = train_efficientad(cut, _Interrupts(5), SystemClock())
    assert stopped.conversion is None
    assert stopped.outcome.steps == 5
    train_efficientad(replace(cut, resume=True), Silent(), SystemClock())
    train_efficientad(options, Silent(), SystemClock())
    whole, resumed = _weights(tmp_path / "x.onnx"), _weights(tmp_path / "y.onnx")
    assert whole.keys() == resumed.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values, err_msg=name)


def test_without_steps_the_checkpoint_of_an_unfinished_training_stays(options):
    """It takes no step and has no checkpoint: what lies there is of the days of another training to the same file."""
    options.checkpoint.write_bytes(b"days of work")
    train_efficientad(replace(options, student="solved", schedule=Schedule(0, 1)), Silent(), SystemClock())
    assert options.checkpoint.read_bytes() == b"days of work"


def test_a_teacher_of_another_size_is_refused(options):
    """Before anything is trained."""
    with pytest.raises(ConfigError, match="size s, not m"):
        train_efficientad(replace(options, size=PdnSize.M), Silent(), SystemClock())


@pytest.mark.parametrize(
    ("size", "asked", "side_px"), [(PdnSize.XS, "", 192), (PdnSize.S, "", 256), (PdnSize.XS, "64", 64)]
)
def test_the_input_is_as_large_as_the_teachers_size_asks(tmp_path, size, asked, side_px):
    """XS is made for 192 pixels, the paper's sizes for 256; who names another gets that."""
    teacher = write_teacher_file(tmp_path / "t.npz", size)
    flags = EfficientAdFlags(images=tmp_path, teacher=teacher, out=tmp_path / "x.bundle", input_size=asked)
    options = train_options(flags)
    assert (options.height_px, options.width_px) == (side_px, side_px)


@pytest.mark.parametrize(
    ("changes", "conversion", "said"),
    [
        ({}, {"name": "part 1"}, "--name"),
        ({}, {"version": ""}, "--bundle-version"),
        ({}, {"false_reject_rate": 0.6}, "--false-reject-rate"),
        ({}, {"out": Path("nowhere/x.bundle")}, "--out"),
        ({}, {"dataset": Path("nowhere")}, "nowhere"),
        ({"onnx": Path("nowhere/x.onnx")}, {}, "--onnx"),
        ({"height_px": 10, "student": "solved"}, {}, "--input-size"),
        ({"checkpoint": Path("nowhere/x.checkpoint")}, {}, "--checkpoint"),
    ],
)
def test_what_would_fail_after_the_training_is_refused_before_it(options, changes, conversion, said):
    """Hours of training are not spent on a bundle that cannot be written."""
    wrong = replace(options, **changes, convert=replace(options.convert, **conversion))
    with pytest.raises(EdgeError, match=said):
        wrong.check()


def test_help_needs_no_torch():
    """`edge-convert distill --help` imports neither PyTorch nor ONNX Runtime's tools."""
    code = (
        "import sys; from typer.testing import CliRunner; from edge_convert.cli import app; "
        "assert CliRunner().invoke(app, ['distill', '--help']).exit_code == 0; "
        "assert CliRunner().invoke(app, ['train', 'efficientad', '--help']).exit_code == 0; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
