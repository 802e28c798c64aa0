"""Where INT8 ends: what a float32 operation reads is float32, not a float32 that was rounded to 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEAVY: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What INT8 makes faster."""

_EXACT: Final = frozenset({"Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid"})
"""Arithmetic per element: it costs next to nothing in float32, and its result is then exact for whoever reads it."""

_DEQUANTIZE: Final = "DequantizeLinear"
_QUANTIZE: Final = "QuantizeLinear"


def pull_back(model: Any, chosen: Iterable[str]) -> frozenset[str]:
    """The nodes to quantize once those were given back to float32 that gain nothing from INT8.

    Products of weights gain; everything else does only between them. So what leads to no such product goes back, and
    arithmetic per element already goes back where a float operation or the graph's caller reads its result.

    Args:
        model: `onnx.ModelProto` before quantization.
        chosen: names of the nodes that were to be quantized.
    """
    left = set(chosen)
    readers = _readers(model)
    outputs = {info.name for info in model.graph.output}
    started_float = {node.name for node in model.graph.node} - left
    for node in reversed(model.graph.node):
        if node.name not in left or node.op_type in _HEAVY:
            continue
        read_by = {reader.name for name in node.output for reader in readers.get(name, ())}
        in_float = not read_by.isdisjoint(started_float) or not outputs.isdisjoint(node.output)
        if read_by.isdisjoint(left) or (in_float and node.op_type in _EXACT):
            left.discard(node.name)
    return frozenset(left)


def reads_padding_as_zero(model: Any, lowest: Mapping[str, float]) -> frozenset[str]:
    """Average pools that count their padding, and what makes their input, where that input can be negative.

    OpenVINO 2026.4 pools such a tensor in its 8 bits and pads with the byte 0, which stands for the lowest value and
    not for zero: every value along the border is wrong by it. onnxruntime pads with zero.

    Args:
        model: `onnx.ModelProto` before quantization.
        lowest: smallest value by tensor.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    found = set()
    for node in model.graph.node:
        if node.op_type != "AveragePool" or lowest.get(node.input[0], 0.0) >= 0:
            continue
        settings = {attribute.name: attribute for attribute in node.attribute}
        if "count_include_pad" in settings and settings["count_include_pad"].i and any(settings["pads"].ints):
            found.add(node.name)
            if node.input[0] in makers:
                found.add(makers[node.input[0]].name)
    return frozenset(found)


def has_float_products(model: bytes) -> bool:
    """Whether some product of an INT8 graph (QDQ form) reads no INT8."""
    graph = onnx.load_from_string(model).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    return any(
        node.op_type in _HEAVY and not all(makers.get(name) == _DEQUANTIZE for name in node.input[:2])
        for node in graph.node
    )


def rewire(quantized: Any, chosen: frozenset[str], original: Any) -> None:
    """Let float32 operations read float32 results and weights past the quantizer's rounding, in place.

    A rounding is shared by all readers of a tensor; where its maker computes in float32, only those that compute in
    INT8 are to have it. So with a weight that several operations have in common. What nobody reads any more is removed.

    Args:
        quantized: `onnx.ModelProto` as the quantizer made it.
        chosen: names of the nodes that compute in INT8.
        original: the model before, with the float32 weights, which the quantizer dropped.
    """
    _restore_weights(quantized, chosen, original)
    makers = {name: node for node in quantized.graph.node for name in node.output}
    weights = {item.name for item in quantized.graph.initializer}
    exact = {}
    for node in quantized.graph.node:
        rounding = makers.get(node.input[0]) if node.op_type == _DEQUANTIZE else None
        if rounding is None or rounding.op_type != _QUANTIZE or rounding.input[0] in weights:
            continue
        maker = makers.get(rounding.input[0])
        if maker is None or (maker.name not in chosen and maker.op_type != _DEQUANTIZE):
            exact[node.output[0]] = rounding.input[0]
    for node in quantized.graph.node:
        if node.name in chosen or node.op_type == _QUANTIZE:
            continue
        for index, name in enumerate(node.input):
            if name in exact:
                node.input[index] = exact[name]
    sweep(quantized)


def _restore_weights(quantized: Any, chosen: frozenset[str], original: Any) -> None:
    makers = {name: node for node in quantized.graph.node for name in node.output}
    exact = {item.name: item for item in original.graph.initializer}
    before = {node.name: node for node in original.graph.node}
    present = {item.name for item in quantized.graph.initializer}
    for node in quantized.graph.node:
        if node.name in chosen or node.name not in before:
            continue
        for index, name in enumerate(before[node.name].input):
            maker = makers.get(node.input[index])
            if name in exact and maker is not None and maker.op_type == _DEQUANTIZE:
                node.input[index] = name
                if name not in present:
                    quantized.graph.initializer.append(exact[name])
                    present.add(name)


def sweep(model: Any) -> None:
    """Remove what no longer leads to an output, in place; the nodes are in order."""
    needed = {info.name for info in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(_reads(node))
    kept.reverse()
    weights = [item for item in model.graph.initializer if item.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(weights)


def _readers(model: Any) -> dict[str, list[Any]]:
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in _reads(node):
            readers.setdefault(name, []).append(node)
    return readers


def _reads(node: Any) -> set[str]:
    """Inputs, and what the branches of an If or the body of a Loop take from around them."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _reads(inner)
    return names
