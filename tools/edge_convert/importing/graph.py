"""An ONNX graph under the knife: read, fixed to one size, folded, rewired."""

from __future__ import annotations

import graphlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from edge_convert.importing.stated import GraphInput
from edge_convert.shared_weights import share_equal_weights
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

_LOWEST_OPSET: Final = 13
"""Per-channel QuantizeLinear came with it."""
COMPUTING: Final = frozenset({"Conv", "MatMul", "Gemm", "ConvTranspose", "Einsum"})
"""Operations that make a layer."""
_EXPORT_AGAIN: Final = "Export it again, e.g. with opset 17."


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """An output as it is, not as it is declared."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def read_model(path: Path) -> Any:
    """An ONNX file with its external data, at an opset that can be quantized.

    Raises:
        ConfigError: unreadable, not ONNX, or its `.data` file is missing.
    """
    try:
        model = onnx.load(path)
    except (OSError, onnx.checker.ValidationError) as error:  # the latter where external data is missing
        raise ConfigError(
            f"the model {path} cannot be read: {getattr(error, 'strerror', None) or first_line(error)}",
            "Check the path; large models have a file beside them (model.onnx.data) that must stay there.",
        ) from error
    except Exception as error:  # onnx and protobuf share no base class for "this file is not a model"
        raise ConfigError(f"the model {path} is not valid ONNX: {first_line(error)}", "Name an .onnx file.") from error
    if not model.graph.node:  # an empty file parses, too
        raise ConfigError(f"the model {path} is not valid ONNX: it computes nothing", "Name an .onnx file.")
    if max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0) < (
        _LOWEST_OPSET
    ):
        try:
            model = onnx.version_converter.convert_version(model, _LOWEST_OPSET)
        except Exception as error:
            raise ConfigError(
                f"the model {path} has an old opset that cannot be converted: {first_line(error)}", _EXPORT_AGAIN
            ) from error
    return model


def image_input(model: Any) -> GraphInput:
    """The one input that is no weight.

    Raises:
        ConfigError: there is not exactly one.
    """
    weights = {initializer.name for initializer in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1:
        raise ConfigError(
            f"the graph has {len(inputs)} inputs ({', '.join(entry.name for entry in inputs)})",
            "Export a graph whose one input is the image.",
        )
    tensor = inputs[0].type.tensor_type
    sides = tuple(side.dim_value or None for side in tensor.shape.dim)
    return GraphInput(inputs[0].name, sides, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name)


def fixed(model: Any, shape: Sequence[int | None]) -> Any:
    """A copy whose input has this shape (None leaves a side open); shapes inferred for another one are dropped."""
    copy = type(model)()
    copy.CopyFrom(model)
    name = image_input(copy).name
    sides = next(entry for entry in copy.graph.input if entry.name == name).type.tensor_type.shape.dim
    for side, value in zip(sides, shape, strict=True):
        if value is not None:
            side.ClearField("dim_param")
            side.dim_value = value
    del copy.graph.value_info[:]
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy


def folded(model: Any) -> Any:
    """Constants folded by onnxruntime's basic level, which leaves standard operators only, and names on every node.

    Raises:
        ConfigError: onnxruntime cannot load the graph.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        options = _session_options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        session(model, options)
        result = onnx.load_model(target)
    share_equal_weights(result)
    for index, node in enumerate(result.graph.node):
        node.name = f"{index:04d}_{node.op_type}"
    return result


def session(model: Any, options: Any = None) -> Any:
    """An onnxruntime session.

    Raises:
        ConfigError: it cannot be loaded.
    """
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options or _session_options(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions derive from nothing more specific
        raise ConfigError(f"the graph cannot be loaded: {first_line(error)}", _EXPORT_AGAIN) from error


def run_once(model: Any, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Every output for one input.

    Raises:
        ConfigError: the graph cannot be loaded or run.
    """
    runner = session(model)
    names = [output.name for output in runner.get_outputs()]
    try:
        values = runner.run(names, {runner.get_inputs()[0].name: tensor})
    except Exception as error:  # onnxruntime's exceptions derive from nothing more specific
        raise ConfigError(f"the graph cannot be run: {first_line(error)}", _EXPORT_AGAIN) from error
    return dict(zip(names, values, strict=True))


def outputs_of(model: Any, tensor: npt.NDArray[Any]) -> tuple[OutputInfo, ...]:
    """The outputs as they come out for this input.

    Raises:
        ConfigError: the graph cannot be loaded or run.
    """
    return tuple(
        OutputInfo(name, tuple(np.shape(value)), np.asarray(value).dtype.name)
        for name, value in run_once(model, tensor).items()
    )


def producer(model: Any, name: str) -> Any | None:
    """The node that gives this tensor."""
    return next((node for node in model.graph.node if name in node.output), None)


def consumers(model: Any, name: str) -> list[Any]:
    """The nodes that take this tensor."""
    return [node for node in model.graph.node if name in node.input]


def constant(model: Any, name: str) -> npt.NDArray[Any] | None:
    """The value of a weight or constant, else None."""
    for initializer in model.graph.initializer:
        if initializer.name == name:
            return np.asarray(numpy_helper.to_array(initializer))
    node = producer(model, name)
    if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
        return np.asarray(numpy_helper.to_array(node.attribute[0].t))
    return None


def made_of(model: Any, name: str) -> set[str]:
    """The tensor and every one that it is made of."""
    needed = {name}
    for node in reversed(_sorted(model.graph.node)):
        if needed & set(node.output):
            needed.update((*node.input, *_captured(node)))
    return needed


def rename_uses(model: Any, old: str, new: str) -> None:
    """Whoever takes the tensor `old` takes `new`."""
    for node in model.graph.node:
        for index, taken in enumerate(node.input):
            if taken == old:
                node.input[index] = new


def bypass(model: Any, node: Any, source: str) -> None:
    """Whoever took the node's output takes `source` instead; a graph output keeps its name."""
    name = node.output[0]
    model.graph.node.remove(node)
    rename_uses(model, name, source)
    if any(output.name == name for output in model.graph.output):
        model.graph.node.append(helper.make_node("Identity", [source], [name], f"keep_{name}"))


def only_outputs(model: Any, names: Iterable[str]) -> None:
    """Leave these outputs, and drop every node and weight that leads to none of them."""
    wanted = list(dict.fromkeys(names))
    kept = {output.name: output for output in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(kept[name] for name in wanted)
    needed = set(wanted)
    nodes: list[Any] = []
    for node in reversed(_sorted(model.graph.node)):
        if needed & set(node.output):
            nodes.append(node)
            needed.update(node.input)
            needed.update(_captured(node))
    weights = [initializer for initializer in model.graph.initializer if initializer.name in needed]
    nodes.reverse()
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(weights)


def new_input(model: Any, old: str, tensor: str, shape: Sequence[int]) -> None:
    """The graph begins at an inner tensor, which takes over the old input's name; what led to it is dropped."""
    inner = f"{old}_inner"
    rename_uses(model, tensor, inner)
    only_outputs(model, [output.name for output in model.graph.output])
    entry = next(item for item in model.graph.input if item.name == old)
    entry.CopyFrom(helper.make_tensor_value_info(old, onnx.TensorProto.FLOAT, list(shape)))
    rename_uses(model, inner, old)


def first_line(error: Exception) -> str:
    """What an exception says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _sorted(nodes: Iterable[Any]) -> list[Any]:
    """Nodes in an order in which every tensor exists before it is used: rewiring appends at the end."""
    listed = list(nodes)
    makers = {name: index for index, node in enumerate(listed) for name in node.output}
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for index, node in enumerate(listed):
        taken = (*node.input, *_captured(node))
        sorter.add(index, *(makers[name] for name in taken if name in makers))
    try:
        return [listed[index] for index in sorter.static_order()]
    except graphlib.CycleError as error:
        raise ConfigError("the graph has a cycle", _EXPORT_AGAIN) from error


def _captured(node: Any) -> set[str]:
    """Outer tensors that a branch or loop inside the node uses."""
    return {
        name
        for attribute in node.attribute
        if attribute.type == onnx.AttributeProto.GRAPH
        for inner in attribute.g.node
        for name in (*inner.input, *_captured(inner))
    }


def _session_options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    # A thread that waits spinning takes the core from the one that computes, wherever both are busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
