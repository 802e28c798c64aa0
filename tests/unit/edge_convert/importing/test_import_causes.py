"""A broken export never becomes a bundle: the refusal names the likely cause and the flag that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import export_bench as bench
import pytest

from edge_convert.convert.source import ConvertOptions
from edge_convert.importing.case import ImportOptions
from edge_convert.importing.importer import antialiasing_notice, import_model
from edge_convert.importing.stated import Stated
from edge_convert.progress import Silent
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Fit, Resize
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

TOLD = Stated(
    resize=Resize.LINEAR_ANTIALIAS, keep_fractions=True, scale=1.0, mean=bench.IMAGENET_MEAN, std=bench.IMAGENET_STD
)
"""How the recorded model was trained."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good parts and what the trained model says of them, also behind a centre crop."""
    root = tmp_path_factory.mktemp("causes")
    good = bench.write_parts(root / "good", 15)
    bench.record(root / "reference", {"good": good})
    bench.record(root / "cropped", {"good": good}, bench.Trained(resized_px=55))
    return root


def refusal(parts: Path, tmp_path: Path, model: Path, stated: Stated, reference: str = "reference") -> ConfigError:
    """What the import says; no file may be left behind."""
    out = tmp_path / "out"
    out.mkdir()
    options = ImportOptions(
        model=model,
        images=parts / "good",
        reference=parts / reference,
        stated=stated,
        convert=ConvertOptions(
            out / "x.bundle", "x", "1", EngineSettings(name="onnxruntime", threads=1), precision="fp32"
        ),
    )
    with pytest.raises(ConfigError, match="refused: the exported model is not the source model") as caught:
        import_model(options, Silent(), SystemClock())
    assert not list(out.iterdir())
    return caught.value


def test_a_wrong_colour_order_is_named(parts: Path, tmp_path: Path) -> None:
    """The export swapped its channels: its scores come back with BGR, and nothing else is blamed."""
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx", bgr=True), TOLD)
    assert "with --colour bgr --mean 0.406,0.456,0.485 --std 0.225,0.224,0.229 they agree within 0.01:" in error.action
    assert "the export expects BGR" in error.action


def test_antialiasing_is_not_blamed_for_another_mistake() -> None:
    """With exchanged channels the scores depart with antialiasing as without: that it was lost is then no finding."""
    assert "which its export lost" in antialiasing_notice(2.1, 0.01, Resize.LINEAR_ANTIALIAS)
    unclear = antialiasing_notice(2.14, 2.11, Resize.LINEAR_ANTIALIAS)
    assert "export lost" not in unclear
    assert "something else is wrong" in unclear


@pytest.mark.parametrize("wrong", [Resize.LINEAR, Resize.NEAREST, Resize.AREA])
def test_a_wrong_resize_is_named(parts: Path, tmp_path: Path, wrong: Resize) -> None:
    """The antialiasing of the training is missing, or is another one."""
    model = bench.plain_export(tmp_path / "m.onnx")
    error = refusal(parts, tmp_path, model, Stated(resize=wrong).over(TOLD))
    assert "with --resize linear_antialias they agree" in error.action
    assert "linear resize with antialiasing" in error.action


def test_a_missing_normalisation_is_named(parts: Path, tmp_path: Path) -> None:
    """The export expects ImageNet's normalisation, nobody does it."""
    told = Stated(mean=(0.0,) * 3, std=(1.0,) * 3).over(TOLD)
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx"), told)
    assert "with --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --scale 1 they agree" in error.action
    assert "expects ImageNet's normalisation before it" in error.action


def test_a_normalisation_done_twice_is_named(parts: Path, tmp_path: Path) -> None:
    """The export normalises itself, and is told to be fed with normalised pixels."""
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx", normalises=True), TOLD)
    assert "with --mean 0,0,0 --std 1,1,1 --scale 1 they agree" in error.action
    assert "normalises them itself" in error.action


def test_a_wrong_range_is_named(parts: Path, tmp_path: Path) -> None:
    """Pixels in 0…255 for an export that takes 0…1."""
    told = Stated(scale=255.0, mean=(0.0,) * 3, std=(1.0,) * 3).over(TOLD)
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx", normalises=True), told)
    assert "--scale 1 they agree" in error.action


def test_a_centre_crop_too_many_is_named(parts: Path, tmp_path: Path) -> None:
    """Told to crop, trained on the whole frame."""
    told = Stated(resized_px=(60, 60)).over(TOLD)
    model = bench.plain_export(tmp_path / "m.onnx")
    error = refusal(parts, tmp_path, model, told)
    assert "with --resized 48x48 they agree" in error.action
    assert "without a centre crop" in error.action


def test_a_centre_crop_of_the_training_is_named(parts: Path, tmp_path: Path) -> None:
    """Trained behind Resize(55), CenterCrop(48), the customary 256 to 224; the export is fed the whole frame."""
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx"), TOLD, "cropped")
    assert "with --resized 55x55 they agree" in error.action
    assert "behind a centre crop" in error.action


def test_two_mistakes_are_found_one_after_the_other(parts: Path, tmp_path: Path) -> None:
    """Where no single flag mends it, the best is kept and the next is sought."""
    told = Stated(resize=Resize.NEAREST, mean=(0.0,) * 3, std=(1.0,) * 3).over(TOLD)
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx"), told)
    assert "--resize linear_antialias" in error.action
    assert "--mean 0.485,0.456,0.406" in error.action
    assert "they agree" in error.action


def test_another_model_is_not_explained_away(parts: Path, tmp_path: Path) -> None:
    """A recording of another training: no flag mends it, and the message does not pretend otherwise."""
    error = refusal(parts, tmp_path, bench.other_training(tmp_path / "m.onnx"), TOLD)
    assert "none of the usual causes" in error.action or "but that is not all" in error.action


def test_kept_proportions_are_named(parts: Path, tmp_path: Path) -> None:
    """Told to keep proportions, trained on stretched images."""
    told = Stated(fit=Fit.SHORTER_SIDE).over(TOLD)
    error = refusal(parts, tmp_path, bench.plain_export(tmp_path / "m.onnx"), told)
    assert "with --fit stretch they agree" in error.action
