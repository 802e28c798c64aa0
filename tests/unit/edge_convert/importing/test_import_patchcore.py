"""An exported PatchCore is searched exactly on the device, with the export's own answers, or it is imported whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import export_bench as bench
import numpy as np
import patchcore_export as maker
import pytest

from edge_convert.adding.add import AddOptions, add
from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import ConvertOptions, SourceModel
from edge_convert.images import load_image, survey
from edge_convert.importing.case import ImportOptions, open_export
from edge_convert.importing.cutting import cut_patchcore
from edge_convert.importing.importer import import_model
from edge_convert.importing.patchcore import read_patchcore
from edge_convert.importing.recording import read_recording
from edge_convert.importing.reference import GraphReference, RecordedReference
from edge_convert.importing.stated import Stated
from edge_convert.progress import Silent
from edge_convert.teaching.area import AreaOptions
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind, Resize
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.convert.report import ConvertReport
    from edge_convert.search_form import WantedForm

ENGINE = EngineSettings(name="onnxruntime", threads=1)
TOLD = Stated(resize=Resize.LINEAR_ANTIALIAS, scale=1.0, keep_fractions=True)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and defective parts of several shapes."""
    root = tmp_path_factory.mktemp("patchcore")
    bench.write_parts(root / "good", 14)
    bench.write_parts(root / "ring", 4, first=300, defect=True)
    return root


def imported(parts: Path, model: Path, out: Path, *, search: WantedForm = "auto", **changes: object) -> ConvertReport:
    """In float32, against the export itself."""
    convert = ConvertOptions(out, "part", "1", ENGINE, precision="fp32", search=search)
    told = ImportOptions(model=model, images=parts / "good", convert=convert, stated=TOLD, **changes)  # type: ignore[arg-type]
    return import_model(told, Silent(), SystemClock())


@pytest.mark.parametrize(
    ("shape", "wanted", "roles"),
    [
        ({}, "auto", {"bank", "coarse", "whole", "neighbours"}),
        ({"batch": 2}, "auto", {"bank", "coarse", "whole", "neighbours"}),
        ({"version": 1, "weighted": False}, "exact", {"bank", "coarse", "whole"}),
        ({"version": 1, "weighted": False}, "auto", {"search"}),
    ],
    ids=["2.x", "2.x of two", "1.x without weights", "in the form for its small bank"],
)
def test_the_bundle_has_a_search_of_its_own_and_answers_as_the_export(
    parts: Path, tmp_path: Path, shape: dict[str, object], wanted: WantedForm, roles: set[str]
) -> None:
    """Features, bank and map apart; score and map on both engines are the graph's own, in its own units."""
    model = maker.patchcore(tmp_path / "m.onnx", **shape)  # type: ignore[arg-type]
    out = tmp_path / "part.bundle"
    report = imported(parts, model, out, search=wanted)
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    export = open_export(model)
    built = export.build(TOLD.over(export.stated), {})
    whole = GraphReference(export, built)
    for name in ("onnxruntime", "openvino"):
        with load_inspector(out, EngineSettings(name=name, threads=1), "development") as inspector:
            assert inspector.bundle.kind is DetectorKind.PATCHCORE
            assert {*roles, "map"} <= set(inspector.bundle.graphs)
            for path in sorted(parts.glob("*/00[0-3].png")):
                frame = load_image(path)
                found, expected = inspector.inspect((frame,)), whole.inspect(path, frame)
                assert found.score == pytest.approx(expected.score, abs=2e-4)
                assert found.anomaly_map is not None
                assert expected.anomaly_map is not None
                np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=2e-3)


def test_with_a_recording_the_uncut_graph_speaks_about_planted_defects(parts: Path, tmp_path: Path) -> None:
    """Of them nothing is recorded; parts that draw another map than the graph are not compared with themselves."""
    export = open_export(maker.patchcore(tmp_path / "m.onnx"))
    built = export.build(TOLD.over(export.stated), {})
    graph, images = GraphReference(export, built), survey(parts / "good")
    entries = [
        {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "score": graph.inspect(path, load_image(path)).score}
        for path in images.files
    ]
    (tmp_path / "reference.json").write_text(json.dumps({"format": 0, "images": entries}), encoding="utf-8")
    options = ConvertOptions(tmp_path / "part.bundle", "part", "1", ENGINE, precision="fp32")
    whole = SourceModel(built.model, DetectorKind.GENERIC, built.input_spec, built.outputs, "2026-01-01T00:00:00Z")
    cut = cut_patchcore(whole, built, images, options).source
    assert cut is not None
    turned = replace(cut, further={**cut.further, "map": ("map.onnx", maker.turned_map())})
    recorded = RecordedReference(read_recording(tmp_path), clamped=built.clamped, beyond=graph)
    with pytest.raises(ConfigError, match="map"):
        convert(turned, recorded, images, options, Silent(), SystemClock())


def test_the_features_of_a_fixed_batch_are_computed_once(tmp_path: Path) -> None:
    """The whole graph takes one image as both; the features behind the cut are those of one."""
    export = open_export(maker.patchcore(tmp_path / "m.onnx", batch=2))
    built = export.build(TOLD.over(export.stated), {})
    found = read_patchcore(built)
    assert found is not None
    assert (found.grid, found.rows.shape) == ((maker.GRID, maker.GRID), (maker.ROWS, maker.CHANNELS))
    assert found.neighbours == maker.NEIGHBOURS
    np.testing.assert_array_equal(found.rows, maker.bank())
    assert any(node.name == "fill_batch" for node in built.model.graph.node)
    assert not any(node.name == "fill_batch" for node in found.features.graph.node)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"score": "mean"}, "not made of the largest distance"),
        ({"map_of": "image"}, "not made of the distances alone"),
        ({"oddity": "squared", "weighted": False}, "its parts score"),
        ({"oddity": "together", "batch": 2}, "not all patches of an image, and they alone"),
        ({"oddity": "last row", "weighted": False, "map_of": "nothing"}, "not all patches of an image, and they alone"),
        ({"oddity": "border", "weighted": False, "map_of": "nothing"}, "not made of the largest distance"),
        ({"oddity": "inside", "batch": 2}, "its parts cannot be run"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_is_made_of_the_distances_otherwise_is_imported_as_one_graph(
    parts: Path, tmp_path: Path, shape: dict[str, object], said: str
) -> None:
    """Another score, map or metric, patches that do not count: no search is cut out, and it is said why."""
    out = tmp_path / "part.bundle"
    report = imported(parts, maker.patchcore(tmp_path / "m.onnx", **shape), out)  # type: ignore[arg-type]
    assert any("imported as one graph" in text and said in text for text in report.warnings)
    with load_inspector(out, ENGINE, "development") as inspector:
        assert inspector.bundle.kind is DetectorKind.GENERIC


def test_behind_a_mask_the_graph_stays_whole(parts: Path, tmp_path: Path) -> None:
    """Its score is then the largest value of its map, which no search of patches gives."""
    (tmp_path / "frames").mkdir()
    for path in (parts / "good").iterdir():
        if (frame := load_image(path)).shape[:2] == (96, 96):
            (tmp_path / "frames" / path.name).write_bytes(encode_png(frame))
    mask = np.full((96, 96), 255, np.uint8)
    mask[:, :20] = 0
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    model = maker.patchcore(tmp_path / "m.onnx")
    convert = ConvertOptions(tmp_path / "part.bundle", "part", "1", ENGINE, precision="fp32", allow_loss=True)
    told = ImportOptions(model, tmp_path / "frames", convert, stated=TOLD, area=AreaOptions(mask=tmp_path / "mask.png"))
    report = import_model(told, Silent(), SystemClock())
    assert any("the score is the largest value of the map" in text for text in report.warnings)


def test_nothing_is_added_to_an_imported_bank(parts: Path, tmp_path: Path) -> None:
    """Its scores are in units of their own: `add` says so before it looks at a part."""
    imported(parts, maker.patchcore(tmp_path / "m.onnx", weighted=False), tmp_path / "part.bundle")
    with pytest.raises(ConfigError, match="was imported"):
        add(
            AddOptions(tmp_path / "part.bundle", parts / "good", tmp_path / "x.bundle", ENGINE), Silent(), SystemClock()
        )


def test_other_models_are_no_patchcore(tmp_path: Path) -> None:
    """Nothing is said about them."""
    for model in (bench.anomalib_2(tmp_path / "a.onnx"), bench.plain_export(tmp_path / "b.onnx")):
        export = open_export(model)
        stated = Stated(input_px=(bench.SIDE_PX, bench.SIDE_PX)).over(TOLD).over(export.stated)
        assert read_patchcore(export.build(stated, {})) is None
