"""A bundle that takes its time: the score is the mean grey level, beside a multiplication that only keeps busy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from bundle_parts import make_draft
from onnx import TensorProto, helper

from edge_runtime.bundles.writer import write_bundle
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    GoldenImage,
    InputSpec,
    Layout,
    Resize,
)
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

SIDE_PX = 32


def write_heavy_bundle(path: Path, repeat: int = 32) -> Path:
    """For frames of 32 × 32 px; `repeat` 32 multiplies two 1024 × 1024 matrices per frame, some 2 GFLOP."""
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], "grey", to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["grey"], ["mean"], "mean", keepdims=0),
        helper.make_node("Tile", ["grey", "times"], ["wide"], "wide"),
        helper.make_node("MatMul", ["wide", "wide"], ["product"], "product"),
        helper.make_node("ReduceMean", ["product"], ["rest"], "rest", keepdims=0),
        helper.make_node("Mul", ["rest", "nothing"], ["little"], "little"),
        helper.make_node("Add", ["mean", "little"], ["score"], "score"),
    ]
    graph = helper.make_graph(
        nodes,
        "heavy",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [])],
        [
            helper.make_tensor("times", TensorProto.INT64, [4], [1, 1, repeat, repeat]),
            helper.make_tensor("nothing", TensorProto.FLOAT, [], [1e-30]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    draft = make_draft(
        name="heavy",
        kind=DetectorKind.GENERIC,
        input_spec=InputSpec("image", SIDE_PX, SIDE_PX, Resize.AREA, ColourOrder.MONO, Layout.NCHW, "uint8"),
        graphs={"model": "model.onnx"},
        outputs={"score": "score"},
        parameters={},
        calibration=Calibration(Limits(1_000.0, 2_000.0), (50.0, 60.0, 70.0), 0.01, (0.0, 255.0), ()),
        golden=(GoldenImage("golden/01-good.png", 100.0, 0.01, "PASS"),),
    )
    grey = encode_png(np.full((SIDE_PX, SIDE_PX), 100, np.uint8))
    write_bundle(path, draft, {"model.onnx": model.SerializeToString(), "golden/01-good.png": grey})
    return path
