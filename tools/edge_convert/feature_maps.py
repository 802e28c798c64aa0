"""What a backbone gives, brought into one form: feature maps N×C×H×W, whatever the framework that exported it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAP_RANK: Final = 4
_TOKEN_RANK: Final = 3
_EXTRA_TOKENS: Final = 8
"""Class, distillation and register tokens come before those of the image; nobody has more of them."""


@dataclass(frozen=True, slots=True)
class MapForm:
    """How an output holds its feature map."""

    form: str
    """"nchw", "nhwc" or "tokens"."""
    channels: int
    height: int
    width: int
    extra: int = 0
    """Tokens before those of the image."""


def recognise(shape: Sequence[int], height_px: int, width_px: int) -> MapForm | None:
    """The feature map in an output of this shape; None: there is none.

    A map has the input's proportions. Where both readings of a rank of four fit (a map as deep as it is high), it is
    N×C×H×W, as most frameworks export it.

    Args:
        shape: of the output, for a batch of one.
        height_px: of the input.
        width_px: of the input.
    """
    if len(shape) == _MAP_RANK:
        _, one, two, three = shape
        if _in_proportion(two, three, height_px, width_px):
            return MapForm("nchw", one, two, three)
        if _in_proportion(one, two, height_px, width_px):
            return MapForm("nhwc", three, one, two)
    if len(shape) == _TOKEN_RANK:
        for extra in range(min(_EXTRA_TOKENS, shape[1] - 1) + 1):
            count = shape[1] - extra
            rows = round((count * height_px / width_px) ** 0.5)
            if rows and count % rows == 0 and rows * width_px == count // rows * height_px:
                return MapForm("tokens", shape[2], rows, count // rows, extra)
    return None


def _in_proportion(height: int, width: int, height_px: int, width_px: int) -> bool:
    """One stride explains both sides, give or take what padding adds or leaves out."""
    if not (0 < height <= height_px and 0 < width <= width_px):
        return False
    return abs(height * width_px / height_px - width) <= 1 or abs(width * height_px / width_px - height) <= 1


def as_maps(model: Any, forms: dict[str, MapForm]) -> Any:
    """Give the named outputs as N×C×H×W under their own names; the other outputs stay as they are.

    Args:
        model: `onnx.ModelProto` for a batch of one; changed in place.
        forms: output → how it holds its map.
    """
    for name, form in forms.items():
        if form.form == "nchw":
            continue
        raw = f"{name}/as_exported"
        next(entry for entry in model.graph.output if entry.name == name).type.tensor_type.ClearField("shape")
        for node in model.graph.node:
            for names in (node.input, node.output):
                for index, tensor in enumerate(names):
                    if tensor == name:
                        names[index] = raw
        if form.form == "nhwc":
            model.graph.node.append(helper.make_node("Transpose", [raw], [name], perm=[0, 3, 1, 2]))
        else:
            _tokens_to_map(model.graph, raw, name, form)
    return model


def _tokens_to_map(graph: Any, raw: str, name: str, form: MapForm) -> None:
    """1×N×C → 1×C×rows×columns, without the extra tokens."""
    constants = {
        "start": np.array([form.extra], dtype=np.int64),
        "end": np.array([form.extra + form.height * form.width], dtype=np.int64),
        "axis": np.array([1], dtype=np.int64),
        "grid": np.array([1, form.height, form.width, form.channels], dtype=np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, f"{name}/{key}") for key, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Slice", [raw, f"{name}/start", f"{name}/end", f"{name}/axis"], [f"{name}/patches"]),
            helper.make_node("Reshape", [f"{name}/patches", f"{name}/grid"], [f"{name}/rows"]),
            helper.make_node("Transpose", [f"{name}/rows"], [name], perm=[0, 3, 1, 2]),
        ]
    )


def accept_nchw(model: Any, name: str, height_px: int, width_px: int) -> str:
    """Put a transposition before a graph that takes 1×H×W×3; returns the name of its new input 1×3×H×W."""
    changed = f"{name}/nchw"
    info = next(entry for entry in model.graph.input if entry.name == name)
    kind = info.type.tensor_type.elem_type
    info.CopyFrom(helper.make_tensor_value_info(changed, kind, [1, 3, height_px, width_px]))
    model.graph.node.insert(0, helper.make_node("Transpose", [changed], [name], perm=[0, 2, 3, 1]))
    return changed
