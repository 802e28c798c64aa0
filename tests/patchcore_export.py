"""A small PatchCore as anomalib exports it: features, bank, reweighting and map in one graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import tiny_anomaly
from onnx import TensorProto, helper, numpy_helper

from edge_convert.importing import graph as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

SIDE_PX = 48
GRID = 12
CHANNELS = 14
ROWS = 90
NEIGHBOURS = 5
THRESHOLD, WIDTH = 0.4, 1.5
METADATA = {
    "task": "classification",
    "image_threshold": THRESHOLD,
    "pixel_threshold": THRESHOLD,
    **{f"{of}.min": 0.0 for of in ("anomaly_maps", "pred_scores")},
    **{f"{of}.max": WIDTH for of in ("anomaly_maps", "pred_scores")},
}
"""What anomalib 1.x leaves beside an export."""


def patchcore(
    path: Path,
    *,
    batch: int = 1,
    weighted: bool = True,
    version: int = 2,
    score: str = "largest",
    map_of: str = "grid",
    oddity: str = "",
) -> Path:
    """Write one.

    Args:
        path: of the ONNX file.
        batch: fixed by the exporter.
        weighted: the score is reweighted by neighbours.
        version: 2 normalises in the graph, 1 states raw values and has metadata.json beside it.
        score: "largest" distance, or the "mean" of all, which is another model.
        map_of: the "grid" of distances, the "image" as well, or "nothing": the export gives a score alone.
        oddity: "squared" distances, one product for both images "together", the "last row" of patches never meets the
            bank, the "border" of the map weighs nothing, or the batch is written "inside" the features.
    """
    writer = _Writer(batch, oddity)
    grid = writer.features()
    writer.constant("bank", bank())
    writer.search(grid)
    raw = writer.weighted_score() if weighted else writer.largest_score()
    if score == "mean":
        raw = writer.add("ReduceMean", ["grid_of_distances"], "mean_score", axes=[1], keepdims=0)
    names = ("pred_score", "anomaly_map") if version == 2 else ("401", "output")
    if map_of == "nothing":
        writer.finish(raw, names[0], normalised=version == 2)
        onnx.save(writer.model(names[:1]), path)
        return path
    heat = writer.lit_map() if map_of == "image" else writer.map()
    for source, name in zip((raw, heat), names, strict=True):
        writer.finish(source, name, normalised=version == 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(writer.model(names), path)
    if version == 1:
        path.with_name("metadata.json").write_text(json.dumps(METADATA), encoding="utf-8")
    return path


def turned_map() -> bytes:
    """A graph that draws what is far as near."""
    nodes = [
        helper.make_node("Neg", ["distances"], ["turned"]),
        helper.make_node("Reshape", ["turned", "plane"], ["heat"]),
    ]
    graph = helper.make_graph(
        nodes,
        "map",
        [helper.make_tensor_value_info("distances", TensorProto.FLOAT, [GRID * GRID])],
        [helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, 1, GRID, GRID])],
        [numpy_helper.from_array(np.array([1, 1, GRID, GRID]), "plane")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def bank() -> npt.NDArray[np.float32]:
    """Features of good parts: some patches of a few."""
    writer = _Writer(1)
    writer.constants.append(numpy_helper.from_array(np.array([GRID * GRID, CHANNELS]), "rows_shape"))
    writer.add("Reshape", [writer.features(), "rows_shape"], "rows")
    model = writer.model(("rows",))
    found = [
        graphs.run_once(
            model,
            tiny_anomaly.part(number, size_px=(SIDE_PX, SIDE_PX)).transpose(2, 0, 1)[np.newaxis].astype(np.float32)
            / 255,
        )
        for number in range(3)
    ]
    return np.concatenate([one["rows"] for one in found])[::4][:ROWS]


class _Writer:
    """Nodes and constants as they come."""

    def __init__(self, batch: int, oddity: str = "") -> None:
        self.batch = batch
        self.oddity = oddity
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], output: str, **settings: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **settings))
        return output

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        if name not in {one.name for one in self.constants}:
            self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def features(self) -> str:
        """N×grid×grid×C."""
        draw = np.random.default_rng(7)
        last, layers = "input", []
        for number, (before, after) in enumerate(((3, 6), (6, CHANNELS - 6))):
            stride = 4 if number == 0 else 2
            weights = draw.normal(0, 0.3, (after, before, 5, 5)).astype(np.float32)
            self.constant(f"kernel{number}", weights)
            self.add("Conv", [last, f"kernel{number}"], f"conv{number}", pads=[2] * 4, strides=[stride] * 2)
            last = self.add("Relu", [f"conv{number}"], f"relu{number}")
            self.add("AveragePool", [last], f"pool{number}", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
            layers.append(f"pool{number}")
        self.constant("sizes", np.array([self.batch, CHANNELS - 6, GRID, GRID]))
        self.add("Resize", [layers[1], "", "", "sizes"], "resized", mode="linear")
        self.add("Concat", [layers[0], "resized"], "stacked", axis=1)
        if self.oddity == "inside":
            self.constant("shape_inside", np.array([self.batch, CHANNELS, GRID, GRID]))
            self.add("Reshape", ["stacked", "shape_inside"], "again")
            return self.add("Transpose", ["again"], "permuted", perm=[0, 2, 3, 1])
        return self.add("Transpose", ["stacked"], "permuted", perm=[0, 2, 3, 1])

    def search(self, grid: str) -> None:
        """Anomalib's distances, image by image where the exporter fixed a batch."""
        self.constant("two", np.float32(2))
        self.constant("minus_two", np.float32(-2))
        self.constant("zero", np.float32(0))
        self.constant("last_axis", np.array([-1]))
        self.constant("rows_of_patches", np.array([self.batch * GRID * GRID, CHANNELS]))
        self.add("Reshape", [grid, "rows_of_patches"], "embedding")
        self.add("Transpose", ["bank"], "bank_columns", perm=[1, 0])
        for name, source in (("bank_norms", "bank"),):
            self.norms(source, name)
        self.add("Transpose", ["bank_norms"], "bank_norms_across", perm=[1, 0])
        smallest, where = [], []
        met = GRID * GRID - (GRID if self.oddity == "last row" else 0)
        products = 1 if self.oddity == "together" else self.batch
        for image in range(products):
            part = "embedding"
            if products > 1 or met < GRID * GRID:
                self.constant(f"from{image}", np.array([image * GRID * GRID]))
                self.constant(f"to{image}", np.array([image * GRID * GRID + met]))
                self.constant("rows_axis", np.array([0]))
                part = self.add("Slice", ["embedding", f"from{image}", f"to{image}", "rows_axis"], f"part{image}")
            distances = self.distances(part, "bank_columns", "bank_norms_across", f"d{image}")
            smallest.append(self.add("ReduceMin", [distances], f"smallest{image}", axes=[1], keepdims=0))
            where.append(self.add("ArgMin", [distances], f"where{image}", axis=1, keepdims=0))
        self.constant("by_image", np.array([self.batch, met]))
        self.add("Concat", smallest, "all_smallest", axis=0)
        self.add("Concat", where, "all_where", axis=0)
        self.add(
            "Reshape", ["all_smallest", "by_image"], "all_distances" if self.oddity == "border" else "grid_of_distances"
        )
        if self.oddity == "border":
            inner = np.pad(np.ones((GRID - 2, GRID - 2), np.float32), 1)
            self.constant("inner", inner.reshape(1, -1))
            self.add("Mul", ["all_distances", "inner"], "grid_of_distances")
        self.add("Reshape", ["all_where", "by_image"], "grid_of_rows")

    def norms(self, source: str, name: str) -> str:
        self.constant("two", np.float32(2))
        self.constant("last_axis", np.array([-1]))
        self.add("Pow", [source, "two"], f"{name}_squares")
        return self.add("ReduceSum", [f"{name}_squares", "last_axis"], name, keepdims=1)

    def distances(self, rows: str, columns: str, norms: str, name: str) -> str:
        self.norms(rows, f"{name}_norms")
        self.add("MatMul", [rows, columns], f"{name}_products")
        self.add("Mul", [f"{name}_products", "minus_two"], f"{name}_doubled")
        self.add("Add", [f"{name}_doubled", f"{name}_norms"], f"{name}_partly")
        self.add("Add", [f"{name}_partly", norms], f"{name}_squared")
        self.add("Max", [f"{name}_squared", "zero"], f"{name}_positive")
        return self.add("Identity" if self.oddity == "squared" else "Sqrt", [f"{name}_positive"], name)

    def largest_score(self) -> str:
        return self.add("ReduceMax", ["grid_of_distances"], "largest", axes=[1], keepdims=0)

    def weighted_score(self) -> str:
        """Equation 7, as anomalib computes it."""
        self.add("ArgMax", ["grid_of_distances"], "farthest", axis=1, keepdims=1)
        self.add("GatherElements", ["grid_of_distances", "farthest"], "largest_each", axis=1)
        self.add("GatherElements", ["grid_of_rows", "farthest"], "nearest_row", axis=1)
        self.constant("flat", np.array([-1]))
        self.add("Reshape", ["nearest_row", "flat"], "nearest_flat")
        self.add("Gather", ["bank", "nearest_flat"], "nearest", axis=0)
        self.constant("bank_columns_again", bank().T)
        distances = self.distances("nearest", "bank_columns_again", "bank_norms_across", "amid")
        self.constant("count", np.array([NEIGHBOURS]))
        self.nodes.append(helper.make_node("TopK", [distances, "count"], ["near", "near_rows"], axis=1, largest=0))
        self.add("Gather", ["bank", "near_rows"], "support", axis=0)
        self.constant("cube", np.array([self.batch, GRID * GRID, CHANNELS]))
        self.constant("third", np.array([2]))
        self.add("Reshape", ["embedding", "cube"], "by_image_and_patch")
        self.constant("wide", np.array([1, 1, CHANNELS]))
        self.add("Unsqueeze", ["farthest", "third"], "farthest_wide")
        self.add("Expand", ["farthest_wide", "wide"], "farthest_everywhere")
        self.add("GatherElements", ["by_image_and_patch", "farthest_everywhere"], "deciding", axis=1)
        self.add("Sub", ["deciding", "support"], "apart")
        self.norms("apart", "apart_squared")
        self.add("Sqrt", ["apart_squared"], "apart_each")
        self.add("Squeeze", ["apart_each", "third"], "to_support")
        self.add("Softmax", ["to_support"], "soft", axis=1)
        self.constant("one", np.float32(1))
        self.constant("first", np.array(0))
        self.add("Sub", ["one", "soft"], "weights")
        self.add("Gather", ["weights", "first"], "weight", axis=1)
        self.constant("second", np.array([1]))
        self.add("Squeeze", ["largest_each", "second"], "largest")
        return self.add("Mul", ["weight", "largest"], "weighted")

    def map(self) -> str:
        """Nearest neighbours, then a blur about mirrored edges."""
        self.constant("plane", np.array([self.batch, 1, GRID, GRID]))
        self.constant("full", np.array([self.batch, 1, SIDE_PX, SIDE_PX]))
        self.constant("pads", np.array([0, 0, 2, 2, 0, 0, 2, 2]))
        self.constant("blur", np.full((1, 1, 5, 5), 0.04, np.float32))
        self.add("Reshape", ["grid_of_distances", "plane"], "small_map")
        self.add(
            "Resize",
            ["small_map", "", "", "full"],
            "large_map",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        self.add("Pad", ["large_map", "pads"], "padded", mode="reflect")
        return self.add("Conv", ["padded", "blur"], "smooth")

    def lit_map(self) -> str:
        """A map that also depends on the image itself."""
        self.add("ReduceMean", ["input"], "brightness", axes=[1], keepdims=1)
        return self.add("Add", [self.map(), "brightness"], "lit")

    def finish(self, source: str, name: str, *, normalised: bool) -> None:
        if not normalised:
            self.add("Identity", [source], name)
            return
        self.constant("threshold", np.float32(THRESHOLD))
        self.constant("width", np.float32(WIDTH))
        self.constant("half", np.float32(0.5))
        self.constant("one", np.float32(1))
        self.add("Sub", [source, "threshold"], f"{name}_above")
        self.add("Div", [f"{name}_above", "width"], f"{name}_share")
        self.add("Add", [f"{name}_share", "half"], f"{name}_shifted")
        self.add("Clip", [f"{name}_shifted", "zero", "one"], name)

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "export",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [self.batch, 3, SIDE_PX, SIDE_PX])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
