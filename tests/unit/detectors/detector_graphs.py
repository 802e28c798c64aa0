"""Small graphs and manifests for detector tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    InputSpec,
    Layout,
    ModelBundle,
    Requires,
    Resize,
)
from edge_runtime.domain.verdict import BundleIdentity, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDE = 16
"""Input height and width."""
CELL = 4
"""Pixels per side of a patch."""
GRID = SIDE // CELL

SPEC = InputSpec(
    tensor="image",
    height_px=SIDE,
    width_px=SIDE,
    resize=Resize.AREA,
    colour=ColourOrder.RGB,
    layout=Layout.NCHW,
    dtype="float32",
    scale=255.0,
)


class Payloads:
    """A bundle's files in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def read(self, name: str) -> bytes:
        """As the port says."""
        if name not in self._files:
            raise BundleError(f"no payload {name!r}", "convert the bundle again")
        return self._files[name]


def manifest(
    kind: DetectorKind,
    *,
    graphs: Mapping[str, str],
    outputs: Mapping[str, str],
    parameters: Mapping[str, float] | None = None,
    spec: InputSpec = SPEC,
) -> ModelBundle:
    """A manifest with the least a detector needs."""
    return ModelBundle(
        identity=BundleIdentity(name="tiny", version="1", digest="0" * 64, trust="development"),
        kind=kind,
        input_spec=spec,
        graphs=graphs,
        outputs=outputs,
        parameters=parameters or {},
        calibration=Calibration(Limits(1.0, 2.0), (), 0.01, (0.0, 1.0)),
        golden=(),
        requires=Requires(),
        payloads={},
        created="2025-01-01T00:00:00Z",
    )


def _model(
    nodes: Sequence[object],
    inputs: Sequence[tuple[str, Sequence[int]]],
    outputs: Sequence[tuple[str, Sequence[int]]],
    constants: Mapping[str, np.ndarray],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def features_graph() -> bytes:
    """Image → the mean colour of each 4×4 cell, as patches [16, 3] in row order."""
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Transpose", ["cells"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "shape"], ["patches"]),
    ]
    shape = {"shape": np.array([GRID * GRID, 3], np.int64)}
    return _model(nodes, [("image", [1, 3, SIDE, SIDE])], [("patches", [GRID * GRID, 3])], shape)


def search_graph(bank: np.ndarray, patches: int = GRID * GRID) -> bytes:
    """Patches → Euclidean distance to the nearest row of the bank, from differences (exact for whole numbers)."""
    nodes = [
        helper.make_node("Unsqueeze", ["patches", "one"], ["wide"]),
        helper.make_node("Sub", ["wide", "bank"], ["difference"]),
        helper.make_node("ReduceL2", ["difference", "two"], ["all"], keepdims=0),
        helper.make_node("ReduceMin", ["all", "one"], ["distances"], keepdims=0),
    ]
    constants = {
        "bank": bank[np.newaxis].astype(np.float32),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
    }
    return _model(nodes, [("patches", [patches, 3])], [("distances", [patches])], constants)


def map_graph(map_shape: Sequence[int], score_shape: Sequence[int] | None, score_factor: float = 10.0) -> bytes:
    """Image → its red plane as the map; the score is `score_factor` times the largest value, if it is wanted."""
    nodes = [
        helper.make_node("Slice", ["image", "start", "end", "axis"], ["red"]),
        helper.make_node("Reshape", ["red", "map_shape"], ["heat"]),
    ]
    constants = {
        "start": np.array([0], np.int64),
        "end": np.array([1], np.int64),
        "axis": np.array([1], np.int64),
        "map_shape": np.array(map_shape, np.int64),
    }
    outputs: list[tuple[str, Sequence[int]]] = [("heat", map_shape)]
    if score_shape is not None:
        nodes += [
            helper.make_node("ReduceMax", ["red"], ["peak"], keepdims=0),
            helper.make_node("Mul", ["peak", "factor"], ["scaled"]),
            helper.make_node("Reshape", ["scaled", "score_shape"], ["grade"]),
        ]
        constants |= {"factor": np.float32(score_factor), "score_shape": np.array(score_shape, np.int64)}
        outputs.append(("grade", score_shape))
    return _model(nodes, [("image", [1, 3, SIDE, SIDE])], outputs, constants)
