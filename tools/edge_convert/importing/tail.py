"""What an export does to its score behind the model: anomalib's normalisation, threshold and clamp.

`(x − threshold) / (max − min) + 0.5`, cut to 0…1, is for looking at. A limit drawn from scores of good parts needs
what is behind the cut: there, half of the good parts are exactly 0 and every real defect exactly 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edge_convert.importing import graph as graphs
from edge_convert.importing.metadata import Normalisation

NORMALISED_THRESHOLD: Final = 0.5
"""Where anomalib's normalisation puts the threshold that it found."""

_TRANSPARENT: Final = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})


@dataclass(frozen=True, slots=True)
class Tail:
    """What was found, and taken off."""

    clamped: bool
    normalisation: Normalisation | None


def settle_wheres(model: Any) -> None:
    """Replace every choice whose condition is constant by what it chooses: exporters leave "if it is calibrated"."""
    for node in [node for node in model.graph.node if node.op_type == "Where"]:
        condition = graphs.constant(model, node.input[0])
        if condition is not None and condition.size and condition.all() == condition.any():
            graphs.bypass(model, node, node.input[1] if condition.all() else node.input[2])


def unclamp(model: Any, output: str) -> Tail:
    """Take the cut to 0…1 off an output, in place."""
    name, clamped = output, False
    while (node := graphs.producer(model, name)) is not None:
        name = node.input[0]
        if node.op_type in _TRANSPARENT:
            continue
        bound = _bound(model, node)
        if bound is None:
            name = node.output[0]
            break
        clamped = True
        graphs.bypass(model, node, bound)
        name = bound
    return Tail(clamped, normalisation_of(model, name))


def threshold_of(model: Any, score: str) -> float | None:
    """The constant against which the graph compares its score for a label; None where it gives no label."""
    for node in graphs.consumers(model, score):
        if node.op_type in {"Greater", "GreaterOrEqual"} and node.input[0] == score:
            value = graphs.constant(model, node.input[1])
            if value is not None and value.size == 1:
                return float(value.reshape(()))
    return None


def _bound(model: Any, node: Any) -> str | None:
    """The tensor that the node cuts at 0, at 1 or at both."""
    if node.op_type == "Clip":
        low, high = (_scalar(model, node, index) for index in (1, 2))
        return str(node.input[0]) if low == 0.0 and high == 1.0 else None
    if node.op_type in {"Min", "Max"} and len(node.input) == 2:  # noqa: PLR2004  (a tensor and a number)
        for tensor, other in ((0, 1), (1, 0)):
            if _scalar(model, node, other) == (1.0 if node.op_type == "Min" else 0.0):
                return str(node.input[tensor])
    return None


def normalisation_of(model: Any, name: str) -> Normalisation | None:
    """Read (x − threshold) / width + 0.5 backwards; None where the tensor is made otherwise."""
    half = _step(model, name, {"Add": 1.0, "Sub": -1.0})
    if half is None or abs(half[1] - NORMALISED_THRESHOLD) > 1e-6:  # noqa: PLR2004  (float32)
        return None
    ratio = _step(model, half[0], {"Div": 1.0, "Mul": 1.0})
    if ratio is None or ratio[1] <= 0:
        return None
    width = ratio[1] if ratio[2] == "Div" else 1.0 / ratio[1]
    shift = _step(model, ratio[0], {"Sub": 1.0, "Add": -1.0})
    return None if shift is None else Normalisation(shift[1], width)


def _step(model: Any, name: str, signs: dict[str, float]) -> tuple[str, float, str] | None:
    """The tensor before an arithmetic step with one number, that number, and the operator."""
    node = graphs.producer(model, name)
    if node is None or node.op_type not in signs:
        return None
    value = _scalar(model, node, 1)
    if value is not None:
        return str(node.input[0]), signs[node.op_type] * value, str(node.op_type)
    first = _scalar(model, node, 0)
    if first is not None and node.op_type in {"Add", "Mul"}:
        return str(node.input[1]), signs[node.op_type] * first, str(node.op_type)
    return None


def _scalar(model: Any, node: Any, index: int) -> float | None:
    if index >= len(node.input):
        return None
    value = graphs.constant(model, node.input[index])
    return float(np.asarray(value).reshape(())) if value is not None and value.size == 1 else None
