"""The features graph of a PatchCore bundle: image → patch features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.backbone import Backbone, Layer

IMAGE: Final = "image"
PATCHES: Final = "patches"
DISTANCES: Final = "distances"

_IR_VERSION: Final = 8
_PREFIX: Final = "backbone/"


@dataclass(frozen=True, slots=True)
class FeatureGraph:
    """The features graph with what the rest of the teaching must know of it."""

    model: Any
    """`onnx.ModelProto`: `image` 1×H×W×3 uint8 RGB → `patches` P×C float32, row-major over the grid."""
    backbone_nodes: tuple[str, ...]
    """Nodes that may be quantized; pooling, resizing and normalisation stay in float32."""
    grid_height: int
    grid_width: int
    channels: int


def build_features(backbone: Backbone, layers: Sequence[Layer]) -> FeatureGraph:
    """Put normalisation before a backbone and PatchCore's neighbourhood pooling behind it.

    Each chosen layer is averaged over 3×3 neighbours (arXiv 2106.08265, section 3.1), resized to the finest chosen grid
    and concatenated. The average counts zeros beyond the border: that damps the outermost patches, whose features the
    backbone's own padding has disturbed, and which would otherwise be the farthest ones of many good parts.
    """
    finest = layers[0]
    inner = onnx.compose.add_prefix(backbone.model, _PREFIX)
    for index, node in enumerate(inner.graph.node):
        node.name = f"{_PREFIX}{index:03d}_{node.op_type}"
    backbone_nodes = tuple(node.name for node in inner.graph.node)
    normalise, constants = _normalisation(backbone)
    head, head_constants = _head(layers)
    graph = helper.make_graph(
        [*normalise, *inner.graph.node, *head],
        "patchcore_features",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [1, backbone.height_px, backbone.width_px, 3])],
        [
            helper.make_tensor_value_info(
                PATCHES,
                TensorProto.FLOAT,
                [finest.height * finest.width, sum(layer.channels for layer in layers)],
            )
        ],
        [*inner.graph.initializer, *constants, *head_constants],
    )
    model = helper.make_model(graph, opset_imports=inner.opset_import, producer_name="edge-convert")
    model.ir_version = max(_IR_VERSION, inner.ir_version)
    model = onnx.shape_inference.infer_shapes(_prune(model), strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    kept = {node.name for node in model.graph.node}
    return FeatureGraph(
        model=model,
        backbone_nodes=tuple(name for name in backbone_nodes if name in kept),
        grid_height=finest.height,
        grid_width=finest.width,
        channels=sum(layer.channels for layer in layers),
    )


def _normalisation(backbone: Backbone) -> tuple[list[Any], list[Any]]:
    mean, std = np.asarray(backbone.mean), np.asarray(backbone.std)
    scale = (1 / (255 * std)).astype(np.float32).reshape(1, 3, 1, 1)
    shift = (-mean / std).astype(np.float32).reshape(1, 3, 1, 1)
    nodes = [
        helper.make_node("Transpose", [IMAGE], ["image_nchw"], "to_nchw", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["image_nchw"], ["image_float"], "to_float", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["image_float", "input_scale"], ["image_scaled"], "scale"),
        helper.make_node("Add", ["image_scaled", "input_shift"], [_PREFIX + backbone.input_name], "shift"),
    ]
    return nodes, [numpy_helper.from_array(scale, "input_scale"), numpy_helper.from_array(shift, "input_shift")]


def _head(layers: Sequence[Layer]) -> tuple[list[Any], list[Any]]:
    finest = layers[0]
    nodes: list[Any] = []
    constants: list[Any] = []
    columns = []
    for layer in layers:
        pooled = f"{layer.name}_pooled"
        nodes.append(
            helper.make_node(
                "AveragePool",
                [_PREFIX + layer.name],
                [pooled],
                f"pool_{layer.name}",
                kernel_shape=[3, 3],
                pads=[1] * 4,
                count_include_pad=1,
            )
        )
        if (layer.height, layer.width) != (finest.height, finest.width):
            sizes, pooled_small = f"{layer.name}_sizes", pooled
            pooled = f"{layer.name}_resized"
            target = np.array([1, layer.channels, finest.height, finest.width], dtype=np.int64)
            constants.append(numpy_helper.from_array(target, sizes))
            nodes.append(
                helper.make_node(
                    "Resize", [pooled_small, "", "", sizes], [pooled], f"resize_{layer.name}", mode="linear"
                )
            )
        columns.append(pooled)
    flat = np.array([finest.height * finest.width, -1], dtype=np.int64)
    constants.append(numpy_helper.from_array(flat, "patches_shape"))
    nodes += [
        helper.make_node("Concat", columns, ["stacked"], "stack", axis=1),
        helper.make_node("Transpose", ["stacked"], ["stacked_nhwc"], "to_nhwc", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["stacked_nhwc", "patches_shape"], [PATCHES], "to_patches"),
    ]
    return nodes, constants


def _prune(model: Any) -> Any:
    """Drop what no longer leads to `patches`: the backbone's deeper stages where they were not chosen."""
    needed = {PATCHES}
    nodes: list[Any] = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed.update(node.input)
    kept = [initializer for initializer in model.graph.initializer if initializer.name in needed]
    nodes.reverse()
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    return model
