from __future__ import annotations

import export_bench as bench
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_convert.importing.case import open_export
from edge_convert.importing.graph import OutputInfo
from edge_convert.importing.roles import choose_roles
from edge_convert.importing.stated import GraphInput, Stated, complete
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Layout, Resize


def random_image(*size: int) -> np.ndarray:
    """A batch of one in 0…1."""
    return np.random.default_rng(1).random((1, 3, *size), dtype=np.float32)


def test_an_export_of_anomalib_2_says_everything_itself(tmp_path) -> None:
    """Resize and normalisation, score and map, its threshold, and that its score is cut: all read from the graph."""
    export = open_export(bench.anomalib_2(tmp_path / "model.onnx"))
    assert export.format_name == "anomalib 2.x, ONNX"
    assert export.resizes
    built = export.build(export.stated, {})
    spec = built.input_spec
    assert (spec.height_px, spec.width_px, spec.resize, spec.fit) == (48, 48, Resize.LINEAR, Fit.STRETCH)
    assert (spec.colour, spec.layout, spec.scale, spec.keep_fractions) == (ColourOrder.RGB, Layout.NCHW, 1.0, True)
    assert built.outputs == {"score": "pred_score", "anomaly_map": "anomaly_map"}
    assert built.threshold == 0.5
    assert built.clamped
    assert built.notices == ()


def test_sensitivity_moves_the_threshold(tmp_path) -> None:
    """Anomalib labels a part from 1 − sensitivity on; that constant is in the graph."""
    export = open_export(bench.anomalib_2(tmp_path / "model.onnx", sensitivity=0.3))
    assert export.build(export.stated, {}).threshold == pytest.approx(0.7)


def test_the_score_comes_without_its_cut(tmp_path) -> None:
    """Beyond 1 the bundle goes on counting where the export stops."""
    path = bench.anomalib_2(tmp_path / "model.onnx")
    export = open_export(path)
    built = export.build(export.stated, {})
    image = random_image(bench.SIDE_PX, bench.SIDE_PX)
    session = onnx_session(path)
    as_exported = float(session.run(["pred_score"], {"input": image})[0].item())
    found = float(export.finished(built).run(image)["score"].item())
    assert as_exported == 1.0
    assert found > 1.2
    assert float(export.source(built).run(image)["score"].item()) == pytest.approx(found, rel=1e-5)


def onnx_session(path):
    """The export in onnxruntime, untouched."""
    import onnxruntime  # noqa: PLC0415

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_a_crop_inside_the_graph_is_taken_out_too(tmp_path) -> None:
    """The graph behind the cut gives what the whole one gives for an image that needs no resize."""
    path = bench.anomalib_2(tmp_path / "model.onnx", crop_from=56)
    export = open_export(path)
    built = export.build(export.stated, {})
    assert built.input_spec.resized_px == (56, 56)
    image = random_image(56, 56)
    whole = onnx_session(path).run(["anomaly_map"], {"input": image})[0]
    cropped = np.ascontiguousarray(image[:, :, 4:52, 4:52])
    np.testing.assert_allclose(export.finished(built).run(cropped)["anomaly_map"], whole, atol=1e-5)


def test_a_fixed_batch_answers_for_one_image(tmp_path) -> None:
    """Some exports are bound to a batch of two: the image fills it, the first answer counts, and a notice says so."""
    export = open_export(bench.anomalib_2(tmp_path / "model.onnx", batch=2))
    built = export.build(export.stated, {})
    image = random_image(bench.SIDE_PX, bench.SIDE_PX)
    found = export.finished(built).run(image)
    assert found["anomaly_map"].shape == (1, 1, 48, 48)
    single = open_export(bench.anomalib_2(tmp_path / "single.onnx"))
    other = single.finished(single.build(single.stated, {})).run(image)
    np.testing.assert_allclose(found["score"], other["score"], rtol=1e-6)
    assert "batch of 2" in built.notices[0]


def test_weights_beside_the_model_are_read(tmp_path) -> None:
    """`model.onnx.data` belongs to the model; without it the refusal says what is missing."""
    path = bench.anomalib_2(tmp_path / "model.onnx", external_data=True)
    assert open_export(path).files == (path, tmp_path / "model.onnx.data")
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        open_export(path)
    assert "model.onnx.data" in refused.value.action


def test_an_empty_file_is_no_model(tmp_path) -> None:
    """It parses as a graph that computes nothing; nobody is sent to its opset."""
    (tmp_path / "m.onnx").touch()
    with pytest.raises(ConfigError, match="not valid ONNX: it computes nothing"):
        open_export(tmp_path / "m.onnx")


def test_a_number_is_no_reconstruction(tmp_path) -> None:
    """A picture can be drawn anew, a score cannot: refused by its shape, with the shape."""
    export = open_export(bench.anomalib_2(tmp_path / "model.onnx"))
    with pytest.raises(ConfigError, match=r"'pred_score' has the shape .*, which is no reconstruction"):
        export.build(export.stated, {"reconstruction": "pred_score"})


@pytest.mark.parametrize("outputs", ["map and score", "map alone"])
def test_an_export_of_anomalib_1_is_normalised_as_its_metadata_says(tmp_path, outputs: str) -> None:
    """Raw values in the graph, threshold and range beside it: score and map become what the framework shows."""
    path = bench.anomalib_1(tmp_path / "model.onnx", with_score=outputs == "map and score")
    export = open_export(path)
    assert export.format_name == "anomalib 1.x, ONNX"
    built = export.build(export.stated, {})
    assert built.threshold == 0.5
    assert built.clamped
    image = random_image(bench.SIDE_PX, bench.SIDE_PX)
    raw = onnx_session(path).run(["output"], {"input": image})[0]
    found = export.finished(built).run(image)
    assert float(found["score"].item()) == pytest.approx(bench.normalised(float(raw.max())), rel=1e-5)
    assert float(found["anomaly_map"].max()) == pytest.approx(bench.normalised(float(raw.max())), rel=1e-5)


def test_shapes_tell_map_and_score_apart() -> None:
    """Where no name is known; labels and masks are neither."""
    plane, number = OutputInfo("a", (1, 1, 8, 8), "float32"), OutputInfo("b", (1, 1), "float32")
    label = OutputInfo("c", (1, 1, 8, 8), "bool")
    assert choose_roles([number, plane, label], {}) == {"anomaly_map": "a", "score": "b"}
    assert choose_roles([number, label], {}) == {"score": "b"}
    with pytest.raises(ConfigError, match="cannot be told which output"):
        choose_roles([plane, OutputInfo("d", (1, 9, 9), "float32")], {})


def test_a_person_names_outputs() -> None:
    """What is named must be there and have the shape of its role."""
    outputs = [OutputInfo("a", (1, 1, 8, 8), "float32"), OutputInfo("d", (1, 9, 9), "float32")]
    assert choose_roles(outputs, {"map": "d"}) == {"anomaly_map": "d"}
    assert choose_roles(outputs, {"reconstruction": "a"}) == {"reconstruction": "a"}
    with pytest.raises(ConfigError, match="no output 'x'"):
        choose_roles(outputs, {"map": "x"})
    with pytest.raises(ConfigError, match="which is no score"):
        choose_roles(outputs, {"score": "a"})


def test_an_open_graph_needs_a_size(tmp_path) -> None:
    """Nothing resizes, nothing states a size: the refusal names the option; with it the size is fixed."""
    export = open_export(bench.plain_export(tmp_path / "model.onnx", dynamic=True))
    with pytest.raises(ConfigError, match="takes any size") as caught:
        export.build(export.stated, {})
    assert "--input-size" in caught.value.action
    built = export.build(Stated(input_px=(40, 64)), {})
    assert export.finished(built).run(random_image(40, 64))["anomaly_map"].shape == (1, 1, 40, 64)


def test_what_had_to_be_assumed_is_said(tmp_path) -> None:
    """A plain graph states neither resize nor normalisation."""
    export = open_export(bench.plain_export(tmp_path / "model.onnx"))
    notices = export.build(export.stated, {}).notices
    assert any("--resize" in notice for notice in notices)
    assert any("--mean" in notice for notice in notices)
    stated = Stated(resize=Resize.AREA, scale=1.0)
    assert export.build(stated, {}).notices == ()


@pytest.mark.parametrize(
    ("shape", "stated", "expected"),
    [
        ((None, 3, None, None), Stated(input_px=(8, 9)), (Layout.NCHW, (8, 9), 3)),
        ((1, 8, 9, 3), Stated(), (Layout.NHWC, (8, 9), 3)),
        ((1, 1, 8, 9), Stated(), (Layout.NCHW, (8, 9), 1)),
        ((1, None, None, 3), Stated(input_px=(8, 9)), (Layout.NHWC, (8, 9), 3)),
    ],
)
def test_layout_and_size_follow_the_input(shape, stated: Stated, expected: tuple) -> None:
    """One or three channels stand where the layout has them."""
    spec, _ = complete(stated, GraphInput("x", shape, "float32"))
    assert (spec.layout, (spec.height_px, spec.width_px), len(spec.mean)) == expected
    assert (spec.colour is ColourOrder.MONO) == (expected[2] == 1)


@pytest.mark.parametrize(
    ("shape", "stated", "message"),
    [
        ((1, 4, 8, 8), Stated(), "is 4 channels"),
        ((1, 3, 8), Stated(), "not one image"),
        ((1, 3, 8, 8), Stated(input_px=(9, 9)), "takes 8×8"),
        ((1, 1, 8, 8), Stated(colour=ColourOrder.RGB), "does not fit colour rgb"),
        ((1, 3, 8, 8), Stated(mean=(0.1, 0.2)), "for 3 channel"),
    ],
)
def test_contradictions_are_refused(shape, stated: Stated, message: str) -> None:
    """Nothing is guessed against what is stated."""
    with pytest.raises(ConfigError, match=message):
        complete(stated, GraphInput("x", shape, "float32"))


def test_what_is_no_model_is_refused(tmp_path) -> None:
    """A checkpoint, a text, a graph with two inputs: each with its own message."""
    text = tmp_path / "model.onnx"
    text.write_text("no graph")
    with pytest.raises(ConfigError, match="not valid ONNX"):
        open_export(text)
    with pytest.raises(ConfigError, match="neither ONNX"):
        open_export(tmp_path / "model.ckpt")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_export(tmp_path / "absent.onnx")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "two", value[:2], value[2:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), text)
    with pytest.raises(ConfigError, match="2 inputs"):
        open_export(text)


def test_a_half_precision_input_is_converted_inside(tmp_path) -> None:
    """The device feeds float32; the graph goes on in its own numbers."""
    path = tmp_path / "half.onnx"
    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["y"]),
            helper.make_node("ReduceMax", ["y"], ["s"], axes=[1, 2, 3], keepdims=0),
        ],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, shape)],
        [helper.make_tensor_value_info("s", TensorProto.FLOAT16, [1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    export = open_export(path)
    built = export.build(export.stated, {})
    assert built.input_spec.dtype == "float32"
    assert float(export.finished(built).run(random_image(8, 8))["score"].item()) == pytest.approx(0.99, abs=0.02)
