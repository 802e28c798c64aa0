"""`edge-convert train autoencoder`, from images to a bundle that a device runs."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tiny_backbone import draw_part, write_parts
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra `train`")

from edge_convert.autoencoder.plan import TrainPlan
from edge_convert.autoencoder.run import AutoencoderOptions, train_autoencoder
from edge_convert.cli import app
from edge_convert.convert.source import ConvertOptions
from edge_convert.progress import Silent
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["--size", "32x64", "--width", "4", "--batch", "16", "--threads", "1", "--engine", "onnxruntime"]


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command on the folder's parts."""
    fixed = ["train", "autoencoder", str(folder / "good"), "--out", str(folder / "p.bundle"), "--precision", "fp32"]
    done = CliRunner().invoke(app, [*fixed, *SMALL, *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A trained bundle's folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("taught")
    write_parts(folder / "good", 24)
    write_parts(folder / "val" / "test" / "good", 6, first=300)
    write_parts(folder / "val" / "test" / "line", 6, first=400, defect=True)
    options = ["--epochs", "60", "--rate", "0.004", "--validation", str(folder / "val")]
    named = ["--name", "disc", "--bundle-version", "4", "--json", str(folder / "s.json")]
    code, out, err = call(folder, *options, *named)
    assert code == 0, err
    return folder, out


def test_the_summary_says_on_what_the_criterion_was_chosen(taught: tuple[Path, str]) -> None:
    """A table for people, the same figures for machines, and the choice in the bundle."""
    folder, out = taught
    assert "criteria on 6 good and 6 defective labelled images" in out
    summary = json.loads((folder / "s.json").read_text())
    criterion, form, sigma_px = summary["criterion"]["chosen"]["measure"]
    with open_bundle(folder / "p.bundle", trust="development") as opened:
        bundle = opened.manifest
    assert (bundle.identity.name, bundle.identity.version) == ("disc", "4")
    assert bundle.kind is DetectorKind.RECONSTRUCTION
    assert (bundle.options["criterion"], bundle.options["residual"]) == (criterion, form)
    assert bundle.parameters["residual_sigma_px"] == sigma_px
    assert criterion in bundle.notes["criterion"]
    assert bundle.reference is not None
    assert bundle.reference.source.startswith("PyTorch")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_bundle_runs_as_the_daemon_runs_it(taught: tuple[Path, str], engine: str) -> None:
    """Golden images hold on both engines; a part with a line across scores higher than one without."""
    settings = EngineSettings(name=engine, threads=1)
    with load_inspector(taught[0] / "p.bundle", settings, "development") as inspector:
        assert golden_self_test(inspector.detector, inspector.bundle, inspector.payloads).passed
        good, bad = (inspector.inspect((draw_part(900, defect=defect),)) for defect in (False, True))
    assert bad.score > good.score
    assert bad.anomaly_map is not None
    assert bad.anomaly_map.shape == (32, 64)


def test_the_same_images_and_options_give_the_same_bytes(tmp_path: Path) -> None:
    """Also where the second training is resumed from the first one's checkpoint; other options are refused."""
    write_parts(tmp_path / "good", 20)
    first = call(tmp_path, "--epochs", "4")
    assert first[0] == 0, first[2]
    before = (tmp_path / "p.bundle").read_bytes()
    again = call(tmp_path, "--epochs", "4", "--resume")
    assert again[0] == 0, again[2]
    assert "resumed" in again[2]
    assert (tmp_path / "p.bundle").read_bytes() == before
    other = call(tmp_path, "--epochs", "5", "--resume")
    assert other[0] == 2
    assert "epochs" in other[2]
    assert (tmp_path / "p.bundle").read_bytes() == before


class Impatient(Silent):
    """Presses Ctrl-C after so many steps of training, and keeps what was said."""

    def __init__(self, steps: int) -> None:
        self.left, self.said = steps, []

    @contextlib.contextmanager
    def stage(self, title, steps):
        """Counts the steps of training only."""
        yield self if title == "training" else SimpleNamespace(advance=lambda *_: None)

    def advance(self, steps=1):
        """One step, or the interruption."""
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt

    def notice(self, text):
        """Kept."""
        self.said.append(text)


def test_an_interrupted_command_goes_on_to_the_same_bundle(tmp_path: Path) -> None:
    """Ctrl-C in the middle of an epoch, then --resume: byte for byte what an uninterrupted run writes."""
    images = write_parts(tmp_path / "good", 20)
    plan = TrainPlan(height_px=32, width_px=32, width=4, batch=4)
    whole = AutoencoderOptions(
        images, plan, _conversion(tmp_path / "whole.bundle"), tmp_path / "w", epochs=20, threads=1
    )
    train_autoencoder(whole, Silent(), SystemClock())
    half = replace(whole, convert=_conversion(tmp_path / "half.bundle"), checkpoint=tmp_path / "h")
    impatient = Impatient(50)
    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(half, impatient, SystemClock())
    assert "--resume goes on after epoch 12" in impatient.said[-1]
    assert not (tmp_path / "half.bundle").exists()
    with pytest.raises(ConfigError, match="--region"):
        train_autoencoder(replace(half, resume=True, region=(0, 0, 40, 40)), Silent(), SystemClock())
    train_autoencoder(replace(half, resume=True), Silent(), SystemClock())
    assert (tmp_path / "half.bundle").read_bytes() == (tmp_path / "whole.bundle").read_bytes()


def test_an_interruption_before_the_first_checkpoint_promises_nothing(tmp_path: Path) -> None:
    """Short epochs are saved every so many: in the first of them there is nothing that --resume could go on from."""
    plan = TrainPlan(height_px=32, width_px=32, width=4, batch=4)
    images = write_parts(tmp_path / "good", 20)
    early = AutoencoderOptions(images, plan, _conversion(tmp_path / "p.bundle"), tmp_path / "c", epochs=20, threads=1)
    impatient = Impatient(2)
    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(early, impatient, SystemClock())
    assert not (tmp_path / "c").exists()
    assert "nothing was saved yet" in impatient.said[-1]


def test_another_trainings_checkpoint_is_not_written_over(tmp_path: Path) -> None:
    """EfficientAD's lies under the same name by default; nobody's days of work go for a few epochs."""
    write_parts(tmp_path / "good", 16)
    before = b"60,000 steps"
    (tmp_path / "p.checkpoint").write_bytes(before)
    code, _, err = call(tmp_path, "--epochs", "1")
    assert code == 2
    assert "would be overwritten" in err
    assert (tmp_path / "p.checkpoint").read_bytes() == before


def _conversion(out: Path) -> ConvertOptions:
    engine = EngineSettings(name="onnxruntime", threads=1)
    return ConvertOptions(out=out, name="part", version="1", engine=engine, precision="fp32", golden=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--criterion", "median"], "--criterion"),
        (["--region", "1,2"], "--region"),
        (["--width", "2"], "--width"),
        (["--resume"], "no checkpoint"),
        (["--out", "no-such-folder/p.bundle"], "--out"),
        (["--name", "part 1"], "--name"),
        (["--validation", "."], "no folder `good`"),
        (["--bundle-version", "1/2"], "--bundle-version"),
        (["--false-reject-rate", "0.9"], "--false-reject-rate"),
    ],
)
def test_wrong_arguments_end_with_words_and_code_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Before training, not after it."""
    write_parts(tmp_path / "good", 16)
    code, _, err = call(tmp_path, "--epochs", "1", *arguments)
    assert code == 2
    assert said in err
    assert "epoch 1 of" not in err
    assert not (tmp_path / "p.bundle").exists()


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    """With the number that would do, and what works with fewer."""
    write_parts(tmp_path / "good", 9)
    code, _, err = call(tmp_path)
    assert code == 2
    assert "15" in err
    assert "teach" in err
