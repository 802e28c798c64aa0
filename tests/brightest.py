"""A model that needs no training: its score is the brightest pixel of 8 × 8, 0…1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bundle_parts import make_draft
from onnx import TensorProto, helper

from edge_runtime.bundles.writer import write_bundle
from edge_runtime.domain.model_bundle import (
    ColourOrder,
    DetectorKind,
    Fit,
    GoldenImage,
    InputSpec,
    Layout,
    Resize,
)
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

SPEC = InputSpec("x", 8, 8, Resize.AREA, ColourOrder.MONO, Layout.NCHW, "float32", mean=(0.0,), std=(1.0,))


def brightest() -> bytes:
    """The graph: `x` → `score`."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["score"], keepdims=0)],
        "brightest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def write_brightest(
    path: Path,
    golden_px: tuple[int, int] | None = (8, 8),
    *,
    expected: float = 0.2,
    fit: Fit = Fit.STRETCH,
    **options: str,
) -> Path:
    """A bundle of it, with one grey golden image of this width and height, whose score is 0.2, or with none.

    `options` are words of the manifest.
    """
    golden, payloads = (), {"m.onnx": brightest()}
    if golden_px is not None:
        width_px, height_px = golden_px
        golden = (GoldenImage("g.png", expected, 0.001, "PASS"),)
        payloads["g.png"] = encode_png(np.full((height_px, width_px), 51, np.uint8))
    draft = make_draft(
        kind=DetectorKind.GENERIC,
        input_spec=replace(SPEC, fit=fit),
        graphs={"model": "m.onnx"},
        outputs={"score": "score"},
        parameters={},
        golden=golden,
        options=options,
    )
    write_bundle(path, draft, payloads)
    return path
