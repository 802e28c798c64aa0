from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_backbone import draw_part, write_parts

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.coreset import CoresetSize
from edge_convert.feature_maps import MapForm, recognise
from edge_convert.graphs import build_features
from edge_convert.options import TeachOptions
from edge_convert.progress import Silent
from edge_convert.teach import teach
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.clock import SystemClock

SHARED = Path(__file__).resolve().parents[4] / "shared"
PATCH_PX, WIDTH = 8, 12


def write_transformer(path: Path, height_px: int = 64, width_px: int = 96, extra: int = 1) -> Path:
    """A vision transformer without attention: patch embedding, extra tokens, a mixing layer; output 1×L×C."""
    draw = np.random.default_rng(3)
    count = (height_px // PATCH_PX) * (width_px // PATCH_PX)
    weights = {
        "embed": draw.normal(0, 0.1, (WIDTH, 3, PATCH_PX, PATCH_PX)),
        "extra": draw.normal(0, 1, (1, extra, WIDTH)),
        "mix": draw.normal(0, 0.4, (WIDTH, WIDTH)),
    }
    nodes = [
        helper.make_node("Conv", ["input", "embed"], ["embedded"], strides=[PATCH_PX] * 2),
        helper.make_node("Reshape", ["embedded", "flat"], ["flattened"]),
        helper.make_node("Transpose", ["flattened"], ["patches_in"], perm=[0, 2, 1]),
        helper.make_node("Concat", ["extra", "patches_in"], ["joined"], axis=1),
        helper.make_node("MatMul", ["joined", "mix"], ["mixed"]),
        helper.make_node("Relu", ["mixed"], ["tokens"]),
        helper.make_node("ReduceMean", ["tokens"], ["pooled"], axes=[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "transformer",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, height_px, width_px])],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["n", count + extra, WIDTH])],
        [
            *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()),
            numpy_helper.from_array(np.array([1, WIDTH, count], dtype=np.int64), "flat"),
        ],
    )
    return save(graph, path)


def write_nhwc(path: Path) -> Path:
    """A graph as TensorFlow exports it: input 1×H×W×3, outputs 1×h×w×C, two of them with the same stride."""
    kernel = np.random.default_rng(4).normal(0, 0.2, (10, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["input"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["features"], strides=[8, 8], pads=[1] * 4),
        helper.make_node("Transpose", ["features"], ["linear"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["linear"], ["rectified"]),
    ]
    free = ["n", "a", "b", "c"]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, free) for name in ("linear", "rectified")]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", "h", "w", 3])]
    return save(helper.make_graph(nodes, "nhwc", inputs, info, [numpy_helper.from_array(kernel, "kernel")]), path)


def save(graph: onnx.GraphProto, path: Path) -> Path:
    """Write a model of opset 17."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def patches_of(path: Path, layers: tuple[str, ...] = ()) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Patches of a drawn part at 64×96, and the grid with its channels."""
    backbone = load_backbone(path, 64, 96, (0.0,) * 3, (1.0,) * 3)
    graph = build_features(backbone, choose_layers(backbone, layers))
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.ascontiguousarray(draw_part(1, height_px=64, width_px=96)[np.newaxis])
    return session.run(None, {"image": image})[0], (graph.grid_height, graph.grid_width, graph.channels)


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_tokens_become_a_map_without_the_extra_ones(tmp_path: Path, extra: int) -> None:
    """Class and register tokens are left out, and the others lie where their patch lies in the image."""
    path = write_transformer(tmp_path / "vit.onnx", extra=extra)
    patches, grid = patches_of(path)
    assert grid == (8, 12, WIDTH)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = draw_part(1, height_px=64, width_px=96).astype(np.float32).transpose(2, 0, 1)[np.newaxis] / 255
    tokens = session.run(None, {"input": image})[0][0, extra:].reshape(8, 12, WIDTH)
    padded = np.pad(tokens, ((1, 1), (1, 1), (0, 0)))
    around = sum(padded[row : row + 8, column : column + 12] for row in range(3) for column in range(3)) / 9
    np.testing.assert_allclose(patches.reshape(8, 12, WIDTH), around, rtol=1e-4, atol=1e-5)


def test_channels_last_is_channels_first_elsewhere(tmp_path: Path) -> None:
    """A graph with channels last on both sides gives its features, and two layers of one stride stand side by side."""
    patches, grid = patches_of(write_nhwc(tmp_path / "tf.onnx"), ("linear", "rectified"))
    assert grid == (8, 12, 20)
    assert patches.shape == (96, 20)
    alone, _ = patches_of(tmp_path / "tf.onnx", ("linear",))
    np.testing.assert_allclose(patches[:, :10], alone, rtol=1e-5)
    assert (patches[:, 10:] >= 0).all()
    assert (patches[:, :10] < 0).any()


def test_a_transformer_can_be_taught(tmp_path: Path) -> None:
    """From tokens to a bundle that tells a marked part from good ones."""
    write_parts(tmp_path / "good", 16)
    options = TeachOptions(
        images=tmp_path / "good",
        backbone=write_transformer(tmp_path / "vit.onnx"),
        out=tmp_path / "part.bundle",
        name="part",
        height_px=64,
        width_px=96,
        engine=EngineSettings(name="onnxruntime", threads=1),
        coreset=CoresetSize(0.1, 100, 300),
        int8=False,
        golden=1,
    )
    teach(options, Silent(), SystemClock())
    with load_inspector(options.out, options.engine, "development") as inspector:
        good = [inspector.inspect((draw_part(seed),)).score for seed in range(100, 108)]
        bad = [inspector.inspect((draw_part(seed, defect=True),)).score for seed in range(100, 108)]
    assert np.mean(bad) > max(good)


def test_an_output_that_is_no_map_is_named_with_its_shape(tmp_path: Path) -> None:
    """A class score, or tokens that fill no grid of the input's proportions, are no layers; strides help to choose."""
    path = write_transformer(tmp_path / "vit.onnx")
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", 1, WIDTH]))
    onnx.save(model, path)
    assert [layer.name for layer in load_backbone(path, 64, 96).layers] == ["tokens"]
    del model.graph.output[0]
    onnx.save(model, path)
    with pytest.raises(ConfigError, match=r"pooled \[1, 1, 12\]"):
        load_backbone(path, 64, 96)
    fine = load_backbone(write_transformer(tmp_path / "fine.onnx", 32, 32), 32, 32)
    with pytest.raises(ConfigError, match="layer9"):
        choose_layers(fine, ("layer9",))


@given(st.integers(1, 24), st.integers(1, 24), st.sampled_from([4, 8, 14, 16]), st.integers(1, 300), st.integers(0, 8))
def test_a_map_is_recognised_in_every_form(rows: int, columns: int, stride: int, channels: int, extra: int) -> None:
    """N×C×H×W always; tokens with their grid, the fewest extra ones; what has other proportions is no map."""
    height_px, width_px = rows * stride, columns * stride
    assert recognise((1, channels, rows, columns), height_px, width_px) == MapForm("nchw", channels, rows, columns)
    found = recognise((1, rows * columns + extra, channels), height_px, width_px)
    assert found is not None
    assert found.form == "tokens"
    assert found.height * width_px == found.width * height_px
    assert found.height * found.width + found.extra == rows * columns + extra
    assert found.extra <= extra
    assert recognise((1, channels), height_px, width_px) is None


@pytest.mark.needs_shared
@pytest.mark.skipif(not SHARED.exists(), reason="the backbones (../shared) are not here")
def test_mobilenet_gives_all_its_strides() -> None:
    """MobileNetV2 at a size that is no multiple of 32: four maps, and strides 8 and 16 are found all the same."""
    backbone = load_backbone(SHARED / "weights" / "mobilenet_v2_1.0_imagenet_features.onnx", 200, 300)
    heights = [layer.height for layer in backbone.layers]
    assert [round(200 / height, 1) for height in heights] == pytest.approx([4, 8, 16, 32], rel=0.07)
    assert [layer.name for layer in choose_layers(backbone, ())] == [layer.name for layer in backbone.layers[1:3]]
    graph = build_features(backbone, choose_layers(backbone, ()))
    assert (graph.grid_height, graph.grid_width) == (backbone.layers[1].height, backbone.layers[1].width)
