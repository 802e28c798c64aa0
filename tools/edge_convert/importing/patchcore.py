"""PatchCore inside an exported graph: where its features end, its memory bank, and what is made of the distances.

anomalib writes the whole of PatchCore (arXiv 2106.08265) as one graph: features of all patches, a float32 product with
the memory bank, the smallest distances, reweighting by neighbours in the bank, the map. Cut behind the features,
the bank can be searched exactly and in a fraction of the time, as in a bundle that was taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_convert.graphs import DISTANCES, PATCHES
from edge_convert.importing import graph as graphs
from edge_convert.importing.metadata import Normalisation
from edge_convert.importing.tail import normalisation_of
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edge_convert.importing.exports import Built

    Floats = npt.NDArray[np.float32]

_ROWS_OF_PATCHES: Final = frozenset({"Reshape", "Slice", "Identity", "Squeeze", "Unsqueeze", "Flatten"})
"""What may stand between the grid of features and the product with the bank."""
_TO_THE_ROOT: Final = frozenset({"Mul", "Add", "Sub", "Neg", "Max", "Clip", "Relu", "Sqrt"})
"""|x|² − 2 x·b + |b|², not below 0, and its root."""
_CHANNELS_LAST: Final = [0, 2, 3, 1]
_GRID_RANK: Final = 4
_BEHIND_THE_SCORE: Final = frozenset({"Identity", "Slice", "Reshape"})
_RAW_SCORE: Final = frozenset({"Mul", "ReduceMax"})
"""Reweighted, or the largest distance itself."""
_REARRANGED: Final = frozenset({"Reshape", "Flatten", "Concat", "Squeeze", "Unsqueeze", "Identity"})
_PICKED: Final = frozenset({"ReduceMax", "ArgMax", "Gather", "GatherND", "GatherElements"})
"""What a score may do with the patches' distances: take the largest one and what belongs to it."""
_UNCHANGED: Final = Normalisation(0.5, 1.0)
_SHAPE: Final = "edge_convert/patches_shape"


@dataclass(frozen=True, slots=True)
class PatchCoreExport:
    """The parts of an exported PatchCore."""

    features: Any
    """`onnx.ModelProto`: the export's own input → `patches` P×C, row-major over the grid."""
    drawing: bytes | None
    """ONNX: `distances` P → the export's own map; None where it has none."""
    rows: Floats
    """M×C: the memory bank."""
    grid: tuple[int, int]
    neighbours: int
    """Rows of the bank by which the score is reweighted; 0: it is not."""
    score: Normalisation
    """How a distance becomes the export's score."""


def read_patchcore(built: Built) -> PatchCoreExport | None:
    """The parts of the graph, None where nothing in it looks like a PatchCore of anomalib 1.x or 2.x.

    What is recognised is the product of the features with a constant bank; whether all the rest is as it is taken
    to be, its answers have to show.

    Raises:
        ConfigError: it looks like one, but cannot be cut.
    """
    if not isinstance(built.model, onnx.ModelProto) or not (products := _products(built.model)):
        return None
    if "score" not in built.outputs or built.masked:
        raise _uncut("the score is the largest value of the map" if built.masked else "the graph gives no score")
    if len({(product.bank, product.grid) for product in products}) > 1:
        raise _uncut("features meet more than one bank")
    columns = graphs.constant(built.model, products[0].bank)
    if columns is None or columns.dtype != np.float32 or not np.isfinite(columns).all():
        raise _uncut("its bank is not finite float32")
    shapes = _shapes(built.model)
    height, width = _grid(shapes, products[0].grid)
    if any(shapes.get(product.rows) != (height * width, columns.shape[1]) for product in products):
        raise _uncut("not all patches of an image, and they alone, meet the bank")
    if not _by_the_largest(built.model, built.outputs["score"], products):
        raise _uncut("its score is not made of the largest distance")
    return PatchCoreExport(
        features=_features(built, products[0].grid, height * width, len(columns)),
        drawing=_drawing(built.model, products, built.outputs, height * width),
        rows=np.ascontiguousarray(columns.T),
        grid=(height, width),
        neighbours=_neighbours(built.model),
        score=_units(built.model, built.outputs["score"]),
    )


def _uncut(why: str) -> ConfigError:
    return ConfigError(why, "Import it as one graph.")


@dataclass(frozen=True, slots=True)
class _Product:
    """Patches of one image against the bank; all of them names of tensors."""

    bank: str
    grid: str
    """N×H×W×C."""
    rows: str
    """P×M: each patch with each row of the bank."""
    smallest: str
    """The distance of each patch."""


def _products(model: Any) -> list[_Product]:
    """One for each image of the batch."""
    found = []
    for node in model.graph.node:
        if node.op_type != "MatMul":
            continue
        bank = graphs.constant(model, node.input[1])
        maker = _channels_last(model, node.input[0])
        if bank is None or bank.ndim != 2 or maker is None:  # noqa: PLR2004  (C×M)
            continue
        if (smallest := _smallest(model, node)) is not None:
            found.append(_Product(node.input[1], maker.output[0], node.output[0], smallest))
    return found


def _smallest(model: Any, product: Any) -> str | None:
    """The smallest distance of each patch, made of its product with the bank.

    None where there is none: other networks have layers of weights in the same place, or make more of the distances.
    """
    name = str(product.output[0])
    while len(takers := graphs.consumers(model, name)) == 1 and takers[0].op_type in _TO_THE_ROOT:
        if not all(_equal_to_patches(model, takers[0], other) for other in takers[0].input if other != name):
            return None
        name = str(takers[0].output[0])
    return next((str(taker.output[0]) for taker in takers if taker.op_type == "ReduceMin"), None)


def _equal_to_patches(model: Any, node: Any, other: str) -> bool:
    """A constant that weighs no patch otherwise than the rest: one number, or one to add for each row of the bank."""
    value = graphs.constant(model, other)
    if value is None or value.size <= 1:
        return True
    return node.op_type in {"Add", "Sub"} and value.size == value.shape[-1]


def _by_the_largest(model: Any, score: str, products: list[_Product]) -> bool:
    """No patch's distance is weighed, left out or added to another's on the way to the score."""
    needed = graphs.made_of(model, score)
    names = [product.smallest for product in products]
    for name in names:  # grows
        for node in graphs.consumers(model, name):
            if needed.isdisjoint(node.output):
                continue
            if node.op_type in _REARRANGED:
                names.append(str(node.output[0]))
            elif node.op_type not in _PICKED:
                return False
    return True


def _channels_last(model: Any, name: str) -> Any | None:
    """The node that put the features' channels last, behind which nothing was computed."""
    node = graphs.producer(model, name)
    while node is not None and node.op_type in _ROWS_OF_PATCHES:
        node = graphs.producer(model, node.input[0])
    if node is None or node.op_type != "Transpose":
        return None
    return node if list(_attribute(node, "perm") or []) == _CHANNELS_LAST else None


def _neighbours(model: Any) -> int:
    """By the one choice of nearest rows that the reweighting makes."""
    found = [node for node in model.graph.node if node.op_type == "TopK"]
    if not found:
        return 0
    count = graphs.constant(model, found[0].input[1])
    if len(found) > 1 or count is None or count.size != 1:
        raise _uncut("how many neighbours reweight its score cannot be told")
    return int(count.reshape(()))


def _units(model: Any, score: str) -> Normalisation:
    """What is done to the score behind the model."""
    name = score
    while (node := graphs.producer(model, name)) is not None and node.op_type in _BEHIND_THE_SCORE:
        name = node.input[0]
    found = normalisation_of(model, name)
    if found is None and (node is None or node.op_type not in _RAW_SCORE):
        raise _uncut("what is done to its score cannot be told")
    return _UNCHANGED if found is None else found


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Of every inner tensor of which it can be told; 0 is an open side."""
    inferred = onnx.shape_inference.infer_shapes(model)
    return {
        entry.name: tuple(side.dim_value for side in entry.type.tensor_type.shape.dim)
        for entry in inferred.graph.value_info
    }


def _grid(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, int]:
    """Height and width of the grid of patches."""
    sides = shapes.get(name, ())
    if len(sides) != _GRID_RANK or not all(sides):
        raise _uncut("the size of its grid of patches cannot be told")
    return sides[1], sides[2]


def _features(built: Built, grid: str, patches: int, channels: int) -> Any:
    """The graph up to the grid of features, for one image.

    An export for a fixed batch of several computes every image several times; its features do not need to.
    """
    model = _copy(built.model)
    _one_image(model, built.input_spec.tensor)
    model.graph.initializer.append(numpy_helper.from_array(np.array([patches, channels]), _SHAPE))
    model.graph.node.append(helper.make_node("Reshape", [grid, _SHAPE], [PATCHES], "to_patches"))
    model.graph.output.append(helper.make_tensor_value_info(PATCHES, TensorProto.FLOAT, [patches, channels]))
    graphs.only_outputs(model, [PATCHES])
    inferred = onnx.shape_inference.infer_shapes(model)
    graphs.session(inferred)
    return inferred


def _one_image(model: Any, tensor: str) -> None:
    """Undo the filling of a fixed batch, in place."""
    fill = next((node for node in graphs.consumers(model, tensor) if node.name == "fill_batch"), None)
    if fill is None:
        return
    batch = len(fill.input)
    graphs.bypass(model, fill, tensor)
    for node in model.graph.node:
        if node.op_type != "Resize" or len(node.input) < 4:  # noqa: PLR2004  (its sizes)
            continue
        sizes = graphs.constant(model, node.input[3])
        if sizes is not None and sizes.size == _GRID_RANK and sizes[0] == batch:
            node.input[3] = f"{node.output[0]}_sizes_of_one"
            model.graph.initializer.append(numpy_helper.from_array(np.array([1, *sizes[1:]]), node.input[3]))
    del model.graph.value_info[:]


def _drawing(model: Any, products: list[_Product], outputs: Mapping[str, str], patches: int) -> bytes | None:
    """What the export makes a map of, from the distances of the patches.

    Raises:
        ConfigError: the map needs more than the distances.
    """
    if "anomaly_map" not in outputs:
        return None
    copy = _copy(model)
    for product in products:
        graphs.rename_uses(copy, product.smallest, DISTANCES)
    graphs.only_outputs(copy, [outputs["anomaly_map"]])
    taken = {name for node in copy.graph.node for name in node.input}
    if DISTANCES not in taken or graphs.image_input(copy).name in taken:
        raise _uncut("its map is not made of the distances alone")
    del copy.graph.input[:]
    copy.graph.input.append(helper.make_tensor_value_info(DISTANCES, TensorProto.FLOAT, [patches]))
    drawing = onnx.shape_inference.infer_shapes(copy)
    graphs.session(drawing)
    return bytes(drawing.SerializeToString())


def _copy(model: Any) -> Any:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _attribute(node: Any, name: str) -> Any:
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), None)
