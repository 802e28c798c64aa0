"""Exports as frameworks write them, and recordings of what the trained model behind them answers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx
import tiny_anomaly
from onnx import TensorProto, helper, numpy_helper
from trained_model import IMAGENET_MEAN, IMAGENET_STD, Trained

from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

SIDE_PX = tiny_anomaly.SIDE_PX
THRESHOLD, LOWEST, HIGHEST = 0.66, 0.1, 1.2
"""What anomalib's validation could have found for these parts: some good ones are cut to exactly 0."""


def normalised(value: float) -> float:
    """anomalib's, before its cut."""
    return (value - THRESHOLD) / (HIGHEST - LOWEST) + 0.5


def write_parts(folder: Path, count: int, *, first: int = 0, defect: bool = False) -> Path:
    """PNG files of parts in several sizes, most of them not square."""
    folder.mkdir(parents=True)
    for index in range(count):
        size = [(96, 96), (110, 150), (160, 104)][index % 3]
        pixels = tiny_anomaly.part(first + index, defect=defect, size_px=size)
        (folder / f"{index:03d}.png").write_bytes(encode_png(pixels))
    return folder


def record(out: Path, folders: Mapping[str, Path], trained: Trained | None = None, *, cut: bool | None = None) -> Path:
    """A recording in the format of `record_reference.py`.

    Args:
        out: its folder.
        folders: label → images.
        trained: the model.
        cut: None records raw values; True the normalised, cut ones; False the normalised ones before the cut.
    """
    model = trained or Trained()
    out.mkdir(parents=True)
    images = []
    for label, folder in folders.items():
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
            score, plane = model.answer(pixels)
            if cut is not None:
                score, plane = normalised(score), np.vectorize(normalised)(plane).astype(np.float32)
            if cut:
                score, plane = min(max(score, 0.0), 1.0), np.clip(plane, 0, 1)
            name = f"{len(images) + 1:04d}.npy"
            np.save(out / name, plane.astype(np.float32))
            digest = hashlib.sha256(content).hexdigest()
            images.append(
                {"file": f"{label}/{path.name}", "sha256": digest, "label": label, "score": score, "map": name}
            )
    document = {"format": 0, "source": "NumPy, float64", "images": images}
    (out / "reference.json").write_text(json.dumps(document), encoding="utf-8")
    return out


def plain_export(path: Path, *, bgr: bool = False, normalises: bool = False, dynamic: bool = False) -> Path:
    """A graph without preprocessing: `image` → `heat` and `grade`."""
    kernel = tiny_anomaly.kernel()[:, ::-1] if bgr else tiny_anomaly.kernel()
    nodes, constants, last = _normalisation("image") if normalises else ([], [], "image")
    layers, more, heat = _layers(last, np.ascontiguousarray(kernel))
    nodes += [*layers, helper.make_node("Identity", [heat], ["heat"]), _largest(heat, "grade")]
    side = None if dynamic else SIDE_PX
    return _write(path, nodes, ("image", [1, 3, side, side]), ("heat", "grade"), [*constants, *more])


def anomalib_2(
    path: Path,
    *,
    batch: int | str = "batch",
    crop_from: int | None = None,
    sensitivity: float = 0.5,
    external_data: bool = False,
) -> Path:
    """What anomalib 2.x exports: resize without antialiasing, crop, normalisation and post-processing in the graph."""
    nodes, constants, last = _resize(crop_from or SIDE_PX)
    if crop_from is not None:
        crop, corners, last = _crop(last, crop_from)
        nodes, constants = [*nodes, crop], [*constants, *corners]
    more_nodes, more, last = _normalisation(last)
    layers, weights, heat = _layers(last, tiny_anomaly.kernel())
    nodes += [*more_nodes, *layers, _largest(heat, "amax")]
    constants += [*more, *weights]
    for source, name in (("amax", "pred_score"), (heat, "anomaly_map")):
        nodes += _post_processing(source, name)
    constants += [
        numpy_helper.from_array(np.float32(value), name)
        for name, value in {
            "threshold": THRESHOLD,
            "range": HIGHEST - LOWEST,
            "half": 0.5,
            "zero": 0.0,
            "one": 1.0,
            "limit": 1.0 - sensitivity,
        }.items()
    ]
    constants.append(numpy_helper.from_array(np.array(True), "calibrated"))
    nodes += [
        helper.make_node("Greater", ["pred_score", "limit"], ["pred_label"]),
        helper.make_node("Greater", ["anomaly_map", "half"], ["pred_mask"]),
    ]
    outputs = ("pred_score", "pred_label", "anomaly_map", "pred_mask")
    return _write(
        path, nodes, ("input", [batch, 3, "height", "width"]), outputs, constants, external_data=external_data
    )


def anomalib_1(path: Path, *, with_score: bool) -> Path:
    """What anomalib 1.x exports: raw values under the one name `output`, and the rest in metadata.json."""
    nodes, sizes, last = _resize(SIDE_PX)
    more_nodes, constants, last = _normalisation(last)
    layers, weights, heat = _layers(last, tiny_anomaly.kernel())
    nodes += [*more_nodes, *layers, helper.make_node("Identity", [heat], ["output"])]
    outputs: tuple[str, ...] = ("output",)
    if with_score:
        nodes.append(_largest(heat, "401"))
        outputs = ("output", "401")
    constants += [*weights, *sizes]
    metadata = {
        "task": "segmentation",
        "image_threshold": THRESHOLD,
        "pixel_threshold": THRESHOLD,
        "anomaly_maps.min": LOWEST,
        "anomaly_maps.max": HIGHEST,
        "pred_scores.min": LOWEST,
        "pred_scores.max": HIGHEST,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name("metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return _write(path, nodes, ("input", ["batch", 3, "height", "weight"]), outputs, constants)


def autoencoder(path: Path) -> Path:
    """A graph that gives its input back, smoothed."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["drawn"], kernel_shape=[5, 5], pads=[2] * 4, count_include_pad=0),
    ]
    return _write(path, nodes, ("x", [1, 3, SIDE_PX, SIDE_PX]), ("drawn",), [])


def other_training(path: Path) -> Path:
    """A graph that scores something else: how bright the brightest place is."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["heat"], kernel_shape=[5, 5], pads=[2] * 4),
        _largest("heat", "grade"),
    ]
    return _write(path, nodes, ("x", [1, 3, SIDE_PX, SIDE_PX]), ("grade",), [])


def _resize(side_px: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    nodes = [
        helper.make_node("Shape", ["input"], ["outer"], start=0, end=2),
        helper.make_node("Concat", ["outer", "inner"], ["sizes"], axis=0),
        helper.make_node("Resize", ["input", "", "", "sizes"], ["small"], mode="linear"),
    ]
    return nodes, [numpy_helper.from_array(np.array([side_px, side_px]), "inner")], "small"


def _crop(source: str, side_px: int) -> tuple[onnx.NodeProto, list[onnx.TensorProto], str]:
    """The middle of a square of this side."""
    first = round((side_px - SIDE_PX) / 2)
    corners = {"first": [first] * 2, "last": [first + SIDE_PX] * 2, "axes": [2, 3]}
    constants = [numpy_helper.from_array(np.array(values), name) for name, values in corners.items()]
    return helper.make_node("Slice", [source, *corners], ["cropped"]), constants, "cropped"


def _post_processing(source: str, name: str) -> list[onnx.NodeProto]:
    def inner(step: str) -> str:
        return f"{name}_{step}"

    return [
        helper.make_node("Sub", [source, "threshold"], [inner("above")]),
        helper.make_node("Div", [inner("above"), "range"], [inner("share")]),
        helper.make_node("Add", [inner("share"), "half"], [inner("shifted")]),
        helper.make_node("Clip", [inner("shifted"), "zero", "one"], [inner("cut")]),
        helper.make_node("Where", ["calibrated", inner("cut"), source], [name]),
    ]


def _normalisation(source: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    constants = [
        numpy_helper.from_array(np.array(values, np.float32).reshape(3, 1, 1), name)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
    ]
    nodes = [
        helper.make_node("Sub", [source, "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normal"]),
    ]
    return nodes, constants, "normal"


def _layers(source: str, kernel: npt.NDArray[np.float32]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    nodes = [
        helper.make_node("Conv", [source, "kernel"], ["contrast"], pads=[2] * 4),
        helper.make_node("Abs", ["contrast"], ["size"]),
        helper.make_node("AveragePool", ["size"], ["smooth"], kernel_shape=[3, 3], pads=[1] * 4),
    ]
    return nodes, [numpy_helper.from_array(kernel, "kernel")], "smooth"


def _largest(source: str, name: str) -> onnx.NodeProto:
    return helper.make_node("ReduceMax", [source], [name], axes=[1, 2, 3], keepdims=0)


def _output(name: str, batch: int | str | None) -> onnx.ValueInfoProto:
    """By its name: a map, a picture or a value, of numbers or of truth."""
    kind = TensorProto.BOOL if name in {"pred_label", "pred_mask"} else TensorProto.FLOAT
    channels = {"heat": 1, "anomaly_map": 1, "pred_mask": 1, "output": 1, "drawn": 3}.get(name)
    return helper.make_tensor_value_info(name, kind, [batch, channels, SIDE_PX, SIDE_PX] if channels else [batch])


def _write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    entry: tuple[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    constants: Sequence[onnx.TensorProto],
    *,
    external_data: bool = False,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "export",
        [helper.make_tensor_value_info(entry[0], TensorProto.FLOAT, entry[1])],
        [_output(name, entry[1][0]) for name in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model,
        path,
        save_as_external_data=external_data,
        location=f"{path.name}.data" if external_data else None,
        size_threshold=0,
    )
    return path
