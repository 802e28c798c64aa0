from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from edge_runtime.vision.encode import encode_png
from model_families.convert_all import (
    attempt,
    data_of,
    describe,
    error_in,
    exports_in,
    kept_attempt,
    model_file,
    row_of,
)
from model_families.families import FAMILIES, family
from model_families.table import HEADINGS, Attempt, Row, render, replaced

if TYPE_CHECKING:
    from pathlib import Path

_FILES = {"good_drift": 0.0123, "separation_loss": 0.004, "flips": 0, "map_correlation": None}
_AUROC = {"source_auroc": 0.981, "device_auroc": 0.98, "source_pixel_auroc": None, "device_pixel_auroc": None}


def _document(*, holds: bool = True, **figures: float | None) -> dict[str, object]:
    return {"holds": holds, "files": {**_FILES, **figures}, "golden": {"parity": {"map_correlation": 0.99991}}}


def _row(**replaced: object) -> Row:
    whole = Attempt(
        "int8",
        None,
        {
            "route": "qdq",
            "kept": ["conv_1 (Conv): too coarse", "exp_2 (Exp): range", "conv_3 (Conv): x"],
            "size_bytes": 3e6,
            "timings_ms": {"fp32": 40.0, "int8": 30.0},
        },
        {"onnxruntime": _document(holds=False, flips=2), "openvino": {"error": "cannot run this graph"}},
    )
    plain = Attempt(
        "fp32",
        None,
        {"route": "plain", "kept": [], "size_bytes": 12_340_000, "labelled": _AUROC},
        {"onnxruntime": _document()},
    )
    values = {
        "title": "PaDiM",
        "graph": "`input` 1×3×8×8 → `map` 1×1×8×8",
        "attempts": (plain, whole),
        "weights": "random",
    }
    return Row(**{**values, **replaced})


def _cells(row: Row) -> list[str]:
    lines = render([row]).splitlines()
    assert len(lines) == 3
    return [cell.strip() for cell in lines[2].strip("|").split(" | ")]


def test_a_row_tells_parity_route_and_size_of_both_precisions():
    """What was measured stands in the row: figures per engine, what was kept in float, megabytes."""
    cells = dict(zip(HEADINGS, _cells(_row()), strict=True))

    assert cells["family, weights of its backbone"] == "PaDiM<br>random"
    assert cells["graph"] == "`input` 1×3×8×8 →<br>`map` 1×1×8×8"
    assert cells["float32"] == (
        "onnxruntime: drift 0.012, separation 0.40%, flips 0, maps 0.9999<br>AUROC 0.981 → 0.980"
    )
    route, speed, first, second = cells["INT8"].split("<br>")
    assert (route, speed) == ("qdq, 3 kept (2 Conv, 1 Exp)", "0.75 of float32's time")
    assert first.startswith("onnxruntime: drift 0.012, separation 0.40%, flips 2")
    assert "DOES NOT HOLD" in first
    assert second == "openvino: cannot run this graph"
    assert cells["MB: float32, INT8"] == "12.3, 3.0"


def test_engines_that_agree_share_a_line():
    """Drift too small to matter is told as that, and a bundle bound to an engine says so in few words."""
    plain, whole = _row().attempts
    engines = {"onnxruntime": _document(good_drift=3e-6), "openvino": _document(good_drift=2e-5)}
    bound = {"error": "bundle x-int8 is for openvino, not for onnxruntime → Set name = "}
    report = {**whole.report, "precision": "int8+bf16"}
    attempts = (Attempt("fp32", None, plain.report, engines), Attempt("int8", None, report, {"onnxruntime": bound}))
    cells = dict(zip(HEADINGS, _cells(_row(attempts=attempts)), strict=True))

    assert cells["float32"].startswith("onnxruntime and openvino: drift <0.001, separation 0.40%, flips 0, maps")
    assert cells["INT8"].startswith("qdq, 3 kept (2 Conv, 1 Exp), the rest in bf16<br>")
    assert cells["INT8"].endswith("<br>onnxruntime: the bundle is for openvino alone")
    report["warnings"] = ["on onnxruntime it departs (1 verdict(s) flip (limit 0)): the bundle is bound to openvino"]
    assert _cells(_row(attempts=attempts))[3].endswith(
        "<br>onnxruntime: 1 verdict(s) flip (limit 0); the bundle is for openvino alone"
    )


def test_maps_without_a_golden_defect_are_those_of_the_import():
    """Where no defect stands clear enough to be a golden image, the import's own comparison on that engine speaks."""
    plain, _ = _row().attempts
    document = {**_document(), "golden": {"parity": {"map_correlation": None}}}
    figures = [
        {"engine": "openvino 2026.4.1, CPU", "map_correlation": 0.5},
        {"engine": "onnxruntime 1.31.1, cpu", "map_correlation": 0.987},
    ]
    measured = Attempt("fp32", None, {**plain.report, "figures": figures}, {"onnxruntime": document})
    cells = dict(zip(HEADINGS, _cells(_row(attempts=(measured,))), strict=True))

    assert "flips 0, maps 0.9870 (import)<br>" in cells["float32"]


def test_what_could_not_be_exported_says_why_and_claims_nothing():
    """A family without a graph has its error in the table and dashes for every figure."""
    cells = _cells(_row(error="UnsupportedOperatorError:\n aten::foo | bar", attempts=()))

    assert cells[1] == "not exported: UnsupportedOperatorError: aten::foo \\| bar"
    assert set(cells[2:]) == {"–"}


def test_a_refused_int8_leaves_the_float32_figures_alone():
    """The refusal's message takes the place of the figures; nothing is invented for it."""
    plain = _row().attempts[0]
    cells = dict(zip(HEADINGS, _cells(_row(attempts=(plain, Attempt("int8", "refused: flips 3")))), strict=True))

    assert cells["INT8"] == "refused: flips 3"
    assert cells["MB: float32, INT8"] == "12.3, –"


def test_a_row_is_made_of_what_was_kept(tmp_path: Path):
    """An interrupted run goes on from the outcomes that were written, and what is missing is said to be untried."""
    export = tmp_path / "exports" / "padim"
    export.mkdir(parents=True)
    (export / "export.json").write_text('{"family": "padim", "title": "PaDiM"}')
    _save_relu(export)
    kept_attempt(export, tmp_path, "fp32").write_text(json.dumps(asdict(_row().attempts[0])))

    cells = dict(zip(HEADINGS, _cells(row_of(export, tmp_path)), strict=True))

    assert cells["family, weights of its backbone"] == "PaDiM<br>–"
    assert cells["float32"].startswith("onnxruntime: drift 0.012")
    assert cells["MB: float32, INT8"] == "12.3, –"
    assert cells["INT8"] == "not tried"


def test_exports_stand_in_the_order_of_families(tmp_path: Path):
    """Variants follow their family by name; what is no family comes last."""
    for name, of in (("zz", "patchcore"), ("aa", "stfpm"), ("plain", "autoencoder"), ("patchcore", "patchcore")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "export.json").write_text(json.dumps({"family": of}))
    (tmp_path / "scratch").mkdir()

    assert [path.name for path in exports_in(tmp_path)] == ["patchcore", "zz", "aa", "plain"]


def test_the_table_goes_between_the_documents_marks_however_often():
    """What stands around the marks stays, and what stood between them goes."""
    document = "# Models\n<!-- table: command -->\nold\n<!-- end of table -->\nrest\n"

    once = replaced(document, "| new |\n")

    assert once == "# Models\n<!-- table: command -->\n\n| new |\n\n<!-- end of table -->\nrest\n"
    assert replaced(once, "| new |\n") == once


def test_a_document_without_marks_is_left_alone():
    """A table is never put where nobody asked for it."""
    with pytest.raises(ValueError, match="end of table"):
        replaced("<!-- end of table -->\n<!-- table: x -->\n", "| new |\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scoring …\nerror: it departs. Do this.\n", "it departs. Do this."),
        ("Traceback\nValueError: x\n", "ValueError: x"),
        ("", "it failed without a word"),
    ],
)
def test_the_message_of_a_failed_command_is_found(text: str, expected: str):
    """The product's error line counts, else the last line, never the progress before it."""
    assert error_in(text) == expected


def _save_relu(folder: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Relu", ["input"], ["map"])
    ends = (
        [value("input", onnx.TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [value("map", onnx.TensorProto.FLOAT, ["batch", 3, 8, 8])],
    )
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", *ends)), folder / "model.onnx")


def test_a_graph_is_described_by_names_and_sizes(tmp_path: Path):
    """Open sizes are stars."""
    _save_relu(tmp_path)

    model = model_file(tmp_path)

    assert model is not None
    assert describe(model) == "`input` *×3×8×8 → `map` *×3×8×8"


def test_an_export_may_name_the_data_of_its_own_reference(tmp_path: Path):
    """Most exports share one folder; one recorded on others says so beside the model."""
    assert data_of(tmp_path, tmp_path / "shared") == tmp_path / "shared"
    (tmp_path / "data.txt").write_text("/elsewhere\n")
    assert str(data_of(tmp_path, tmp_path / "shared")) == "/elsewhere"


def test_an_empty_export_is_no_bundle(tmp_path: Path):
    """A folder without a graph ends as an error in the row, not as an exception that ends the run."""
    assert attempt(tmp_path, tmp_path, tmp_path, "fp32", ()).error == f"no model in {tmp_path.name}"


def test_a_model_that_is_no_graph_is_refused_with_the_products_own_message(tmp_path: Path):
    """The conversion is the product's command, so its error is what the table shows."""
    export = tmp_path / "broken"
    (export / "reference").mkdir(parents=True)
    (export / "model.onnx").write_bytes(b"not a graph")
    for kind in ("good", "dent"):
        (folder := tmp_path / "data" / "test" / kind).mkdir(parents=True)
        (folder / "0.png").write_bytes(encode_png(np.zeros((8, 8), np.uint8)))
    np.save(export / "reference" / "0001.npy", np.zeros((2, 2), np.float32))

    tried = attempt(export, tmp_path / "data", tmp_path, "fp32", ())

    assert tried.error is not None
    assert "is not valid ONNX" in tried.error
    assert "Traceback" not in tried.error


def test_families_have_names_of_their_own():
    """`--family` finds exactly the recipe that is meant."""
    names = [recipe.name for recipe in FAMILIES]

    assert len(set(names)) == len(names) == 20
    assert family("padim").title == "PaDiM"
