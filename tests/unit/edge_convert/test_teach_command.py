from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tiny_backbone import write_backbone, write_parts
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_runtime.bundles.archive import open_bundle

if TYPE_CHECKING:
    from pathlib import Path


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run `edge-convert teach` on drawn parts; exit code, stdout, stderr."""
    fixed = ["teach", str(folder / "good"), "--backbone", str(folder / "b.onnx"), "--out", str(folder / "p.bundle")]
    result = CliRunner().invoke(app, [*fixed, "--engine", "onnxruntime", "--threads", "1", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_teach_writes_bundle_and_summary(tmp_path: Path) -> None:
    """The command ends with a table for people and the same figures as JSON for machines."""
    write_parts(tmp_path / "good", 8)
    write_backbone(tmp_path / "b.onnx")
    options = ["--size", "64x96", "--coreset-min", "80", "--no-int8", "--golden", "1", "--region", "0,0,128,96"]
    options += ["--name", "disc", "--bundle-version", "3", "--layers", "layer1, layer2", "--mean", "0.5,0.5,0.5"]
    code, out, err = call(
        tmp_path, *options, "--std", "0.5,0.5,0.5", "--false-reject-rate", "0.1", "--json", str(tmp_path / "s.json")
    )
    assert code == 0, err
    assert "memory bank" in out
    assert "features" in err
    summary = json.loads((tmp_path / "s.json").read_text())
    with open_bundle(tmp_path / "p.bundle", trust="development") as bundle:
        assert (bundle.manifest.identity.name, bundle.manifest.identity.version) == ("disc", "3")
        assert bundle.manifest.identity.digest == summary["digest"]
        assert bundle.manifest.input_spec.region == (0, 0, 128, 96)
    assert summary["layers"] == ["layer1", "layer2"]
    assert summary["precision"] == "fp32"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--size", "big"], "--size"),
        (["--size", "64x64x3"], "--size"),
        (["--region", "1,2,3"], "--region"),
        (["--bundle-version", "1 b"], "--bundle-version"),
        (["--mean", "a,b,c", "--std", "1,1,1"], "--mean"),
        (["--mean", "0.5,0.5,0.5"], "--std"),
        (["--layers", "layer9"], "layer9"),
        (["--region", "100,0,64,64"], "region"),
    ],
)
def test_wrong_arguments_end_with_words_and_code_2(tmp_path: Path, arguments: list[str], word: str) -> None:
    """What is wrong and what to do, no trace of the program's inside, no bundle."""
    write_parts(tmp_path / "good", 6)
    write_backbone(tmp_path / "b.onnx")
    code, _, err = call(tmp_path, "--size", "64", *arguments)
    assert code == 2
    assert "error:" in err
    assert word in err
    assert "→" in err
    assert "Traceback" not in err
    assert not (tmp_path / "p.bundle").exists()


def test_help_names_both_commands() -> None:
    """`edge-convert --help` lists teach and eval."""
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "teach" in result.stdout
    assert "eval" in result.stdout
