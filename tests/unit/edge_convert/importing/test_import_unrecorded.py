"""Images that nobody recorded: what they cannot prove is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import export_bench as bench

from edge_convert.convert.source import ConvertOptions
from edge_convert.importing.case import ImportOptions
from edge_convert.importing.importer import import_model
from edge_convert.progress import Silent
from edge_runtime.config.engine import EngineSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def test_labelled_images_that_nobody_recorded_are_said_to_prove_nothing(tmp_path: Path) -> None:
    """A recording of the good parts alone, beside --dataset: no AUROC is compared, and the bundle says so."""
    good = bench.write_parts(tmp_path / "test" / "good", 15)
    bench.write_parts(tmp_path / "test" / "ring", 6, first=300, defect=True)
    bench.record(tmp_path / "recorded", {"good": good}, cut=False)
    engine = EngineSettings(name="onnxruntime", threads=1)
    options = ImportOptions(
        model=bench.anomalib_2(tmp_path / "m.onnx"),
        images=good,
        convert=ConvertOptions(tmp_path / "x.bundle", "part", "1", engine, precision="fp32", dataset=tmp_path),
        reference=tmp_path / "recorded",
    )
    report = import_model(options, Silent(), SystemClock())
    assert report.labelled is not None
    assert report.labelled.image_loss is None
    said = [text for text in report.warnings if "no answer" in text]
    assert said == ["the recording has no answer for 6 of the 21 labelled images: no AUROC is compared on them"]
