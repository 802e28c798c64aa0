"""Weights that several operations have in common, stored once."""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeAlias

_SMALLEST_BYTES: Final = 4096
"""Below that nothing is gained."""
_VECTOR: Final = 1
"""A bias is quantized by the scales of its own operation: vectors are not put together."""
_PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What has a scale for each output channel."""
_Use: TypeAlias = tuple[str, int, bool]
"""Kind of product, which of its inputs, transposed."""


def share_equal_weights(model: Any) -> None:
    """Leave one of several equal weights, in place.

    A network that looks at an image at several scales has one set of weights and uses it several times. onnxruntime
    folds batch normalisation into each use apart, and writes each result down: CS-Flow grew from 345 to 459 MB.

    Only products that take a weight alike share it. A convolution and a transposed one, whose output channels lie
    along another axis, would both be quantized by the scales of both: INT8 that is wrong by more than the signal.

    Args:
        model: `onnx.ModelProto`, weights within it.
    """
    first: dict[tuple[bytes, frozenset[_Use]], str] = {}
    same: dict[str, str] = {}
    outputs = {output.name for output in model.graph.output}
    uses = _uses(model)
    for item in model.graph.initializer:
        if len(item.dims) <= _VECTOR or item.ByteSize() < _SMALLEST_BYTES or item.name in outputs:
            continue
        key = _content(item), frozenset(uses.get(item.name, ()))
        if key in first:
            same[item.name] = first[key]
        else:
            first[key] = item.name
    if not same:
        return
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)
    gone = same.keys() - {name for node in model.graph.node for name in _taken_inside(node)}
    kept = [item for item in model.graph.initializer if item.name not in gone]
    inputs = [info for info in model.graph.input if info.name not in gone]  # up to IR 3 weights are listed there, too
    del model.graph.initializer[:], model.graph.input[:]
    model.graph.initializer.extend(kept)
    model.graph.input.extend(inputs)


def part_unlike_uses(model: Any) -> None:
    """Give each way of taking a weight a copy of its own, in place: what a quantizer needs of a tied autoencoder.

    Args:
        model: `onnx.ModelProto`, weights within it.
    """
    stored = {item.name: item for item in model.graph.initializer if len(item.dims) > _VECTOR}
    copies: dict[tuple[str, _Use], str] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            use = _use(node, index)
            if use is None or name not in stored:
                continue
            number = sum(other == name for other, _ in copies)
            copy = copies.setdefault((name, use), f"{name}_as_{number}" if number else name)
            if copy != name:
                node.input[index] = copy
    for (name, _), copy in copies.items():
        if copy != name:
            item = model.graph.initializer.add()
            item.CopyFrom(stored[name])
            item.name = copy


def _uses(model: Any) -> dict[str, set[_Use]]:
    found: dict[str, set[_Use]] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if (use := _use(node, index)) is not None:
                found.setdefault(name, set()).add(use)
    return found


def _use(node: Any, index: int) -> _Use | None:
    if node.op_type not in _PRODUCTS:
        return None
    return node.op_type, index, any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def _content(item: Any) -> bytes:
    """Type, shape and values; not the name."""
    nameless = type(item)()
    nameless.CopyFrom(item)
    nameless.ClearField("name")
    return hashlib.sha256(nameless.SerializeToString(deterministic=True)).digest()


def _taken_inside(node: Any) -> set[str]:
    """Outer tensors that a branch or loop within the node may use."""
    inner = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
    return {name for graph in inner for node in graph.node for name in (*node.input, *_taken_inside(node))}
