"""A backbone of three random convolutions, and folders of drawn parts to teach from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

CHANNELS = {"layer1": 8, "layer2": 12, "layer3": 16, "layer4": 20}
"""Strides 4, 8, 16, 32."""


def write_backbone(
    path: Path, metadata: Mapping[str, str] | None = None, *, channels: int = 3, gain: float = 1.0
) -> Path:
    """Write the backbone; `metadata` goes into the file, `gain` scales every weight."""
    draw = np.random.default_rng(7)
    nodes, weights, source, width, stride = [], [], "input", channels, 4
    for name, out in CHANNELS.items():
        kernel = draw.normal(0, gain * (2 / (9 * width)) ** 0.5, (out, width, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}.weight"))
        nodes.append(
            helper.make_node(
                "Conv", [source, f"{name}.weight"], [f"{name}_conv"], strides=[stride] * 2, pads=[1] * 4, name=name
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}_conv"], [name]))
        source, width, stride = name, out, 2
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", out, f"{name}_h", f"{name}_w"])
            for name, out in CHANNELS.items()
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def draw_part(seed: int, *, defect: bool = False, height_px: int = 96, width_px: int = 128) -> npt.NDArray[np.uint8]:
    """A disc with stripes on a noisy belt; with `defect` a bright mark lies across it."""
    draw = np.random.default_rng(seed)
    picture = draw.normal(70, 4, (height_px, width_px, 3))
    centre = (width_px // 2 + int(draw.integers(-3, 4)), height_px // 2 + int(draw.integers(-3, 4)))
    disc = np.zeros((height_px, width_px), dtype=np.uint8)
    cv2.circle(disc, centre, height_px // 3, 255, -1)
    stripes = 150 + 30 * np.sin(np.arange(width_px) / 4)
    picture[disc > 0] = np.broadcast_to(stripes[:, np.newaxis], picture.shape)[disc > 0] + draw.normal(0, 3)
    if defect:
        cv2.line(picture, (centre[0] - 12, centre[1] - 6), (centre[0] + 12, centre[1] + 6), (255.0, 250.0, 0.0), 5)
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_parts(folder: Path, count: int, *, first: int = 0, defect: bool = False) -> Path:
    """Write `count` drawn parts as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        (folder / f"part-{seed:03d}.png").write_bytes(encode_png(draw_part(seed, defect=defect)))
    return folder
