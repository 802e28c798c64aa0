"""A small anomaly model as ONNX, the same model in NumPy as its trained self, and folders of parts for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_convert.convert.source import SourceModel
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.model_bundle import ColourOrder, DetectorKind, InputSpec, Layout, Resize
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure

SIDE_PX = 48
MEAN = (0.45, 0.40, 0.35)
STD = (0.2, 0.25, 0.3)
_WEIGHTS = (1.0, 0.7, 0.4)
"""Channels count differently, so that swapping them shows."""


def spec(**changes: object) -> InputSpec:
    """How the model's trainer prepared its images; keyword arguments break that."""
    fields: dict[str, object] = {
        "tensor": "image",
        "height_px": SIDE_PX,
        "width_px": SIDE_PX,
        "resize": Resize.LINEAR_ANTIALIAS,
        "colour": ColourOrder.RGB,
        "layout": Layout.NCHW,
        "dtype": "float32",
        "mean": MEAN,
        "std": STD,
    }
    return InputSpec(**{**fields, **changes})  # type: ignore[arg-type]


def kernel() -> npt.NDArray[np.float32]:
    """One 5×5 filter over RGB that answers to local contrast."""
    blur = np.outer(*[np.array([1, 4, 6, 4, 1]) / 16] * 2)
    edge = -blur
    edge[2, 2] += 1
    return np.stack([weight * edge for weight in _WEIGHTS])[np.newaxis].astype(np.float32)


def model(tail: tuple[str, ...] = ()) -> onnx.ModelProto:
    """`image` 1×3×H×W → contrast, smoothed and squared → `anomaly_map` and its maximum `score`."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["contrast"], "contrast", pads=[2] * 4),
        helper.make_node("Abs", ["contrast"], ["size"], "size"),
        helper.make_node("AveragePool", ["size"], ["smooth"], "smooth", kernel_shape=[3, 3], pads=[1] * 4),
    ]
    last = "smooth"
    for kind in tail:
        nodes.append(helper.make_node(kind, [last], [f"tail_{kind}"], f"tail_{kind}"))
        last = f"tail_{kind}"
    nodes += [
        helper.make_node("Identity", [last], ["anomaly_map"], "map"),
        helper.make_node("ReduceMax", [last], ["score"], "score", keepdims=0),
    ]
    shape = [1, 3, SIDE_PX, SIDE_PX]
    graph = helper.make_graph(
        nodes,
        "contrast",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [1, 1, SIDE_PX, SIDE_PX]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(kernel(), "kernel")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def source(input_spec: InputSpec | None = None, **changes: object) -> SourceModel:
    """The exported model, with right preprocessing unless another is given."""
    fields: dict[str, object] = {
        "model": model(),
        "kind": DetectorKind.GENERIC,
        "input_spec": input_spec or spec(),
        "outputs": {"anomaly_map": "anomaly_map", "score": "score"},
        "created": "2026-01-01T00:00:00Z",
    }
    return SourceModel(**{**fields, **changes})  # type: ignore[arg-type]


class NumpyReference:
    """The trained model: the same arithmetic in float64, with an area-true bilinear resize of its own."""

    def __init__(self, change: Callable[[float], float] | None = None) -> None:
        self._change = change or float

    @property
    def description(self) -> str:
        """See the port."""
        return "NumPy, float64"

    def covers(self, path: Path | None) -> bool:
        """See the port."""
        return True

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:
        """See the port."""
        plane = answer(exposure)
        return Detection(self._change(float(plane.max())), plane)


def answer(exposure: Exposure) -> npt.NDArray[np.float32]:
    """The map of one RGB frame, H×W."""
    image = _shrink(exposure.astype(np.float64))
    image = (np.rint(image) / 255 - np.array(MEAN)) / np.array(STD)
    response = np.zeros(image.shape[:2])
    for channel in range(3):
        response += cv2.filter2D(
            image[:, :, channel], cv2.CV_64F, kernel()[0, channel].astype(np.float64), borderType=cv2.BORDER_CONSTANT
        )
    padded = np.pad(np.abs(response), 1)
    counts = np.pad(np.ones_like(response), 1)
    height, width = response.shape
    total = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3))
    inside = sum(counts[y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.asarray(total / inside, dtype=np.float32)


def _shrink(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Triangle filter over the shrink factor, rows then columns, each rounded to whole numbers as Pillow does."""
    wide = np.rint(np.einsum("ow,hwc->hoc", _weights(image.shape[1]), image))
    return np.rint(np.einsum("oh,hwc->owc", _weights(image.shape[0]), wide))


def _weights(length: int) -> npt.NDArray[np.float64]:
    factor = length / SIDE_PX
    distances = np.arange(length) + 0.5 - (np.arange(SIDE_PX)[:, np.newaxis] + 0.5) * factor
    weights = np.maximum(0, 1 - np.abs(distances) / max(1.0, factor))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def part(seed: int, *, defect: bool = False, size_px: tuple[int, int] = (96, 96)) -> Exposure:
    """A reddish textured part; a defect is a small dark ring."""
    draw = np.random.default_rng(seed)
    base = np.array([150.0, 100.0, 70.0]) + draw.normal(0, 4, 3)
    texture = cv2.GaussianBlur(draw.normal(0, 28, (*size_px, 3)), (0, 0), 1.5)
    pixels = base + texture
    if defect:
        centre = (int(draw.integers(25, size_px[1] - 25)), int(draw.integers(25, size_px[0] - 25)))
        cv2.circle(pixels, centre, int(draw.integers(7, 12)), (30.0, 20.0, 15.0), 4)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def write_parts(folder: Path, count: int, *, first: int = 0, defect: bool = False) -> Path:
    """PNG files of parts; the folder is made."""
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index:03d}.png").write_bytes(encode_png(part(first + index, defect=defect)))
    return folder
