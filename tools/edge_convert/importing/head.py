"""Preprocessing that an export carries inside its graph: the resize and the centre crop before the first layer.

They are taken out, because a device has to resize with the method of the *training*, and because a graph of one
fixed input size cannot take frames of any. anomalib switches antialiasing off for every export, so what its graphs
do to a large image is not what the model was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import helper

from edge_convert.importing import graph as graphs
from edge_convert.importing.stated import Stated
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Fit, Resize

if TYPE_CHECKING:
    import numpy.typing as npt

_METHODS: Final = {("linear", 0): Resize.LINEAR, ("linear", 1): Resize.LINEAR_ANTIALIAS, ("nearest", 0): Resize.NEAREST}
_CUBIC: Final = {0: Resize.CUBIC, 1: Resize.CUBIC_ANTIALIAS}
_TRANSPARENT: Final = frozenset({"Identity", "Cast", "Reshape"})
_SPATIAL: Final = (2, 3)
_WIDE, _TALL = (320, 448), (448, 320)
"""Two sizes at which an open graph is looked at: what does not change between them is fixed."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the first layer of a graph with the input N×C×H×W."""

    resize: Resize
    fit: Fit
    resized_px: tuple[int, int]
    crop_px: tuple[int, int] | None
    """None: nothing is cropped."""
    cut: str
    """The tensor behind the last of them."""

    @property
    def stated(self) -> Stated:
        """The same as a part of an input specification: the graph resizes floats."""
        return Stated(
            input_px=self.crop_px or self.resized_px,
            resized_px=self.resized_px,
            fit=self.fit,
            resize=self.resize,
            keep_fractions=True,
        )


@dataclass(frozen=True, slots=True)
class _Found:
    resize: Resize
    resized_px: tuple[int, int]
    crop_px: tuple[int, int] | None
    cut: str
    """The tensor behind the last of them."""


def read_head(model: Any, channels: int) -> Head | None:
    """What the graph does before its first layer; None where it resizes nothing.

    Args:
        model: with the input N×C×H×W, as exported.
        channels: C.
    """
    small = _front(model)
    if small is None:
        return None
    sides = graphs.image_input(model).dimensions[2:]
    if None not in sides:
        found = _look(small, channels, (sides[0] or 0, sides[1] or 0))
        return None if found is None else Head(found.resize, Fit.STRETCH, found.resized_px, found.crop_px, found.cut)
    wide, tall = (_look(small, channels, (sides[0] or size[0], sides[1] or size[1])) for size in (_WIDE, _TALL))
    if wide is None or tall is None or wide.cut != tall.cut:
        return None
    if wide.resized_px == tall.resized_px:
        return Head(wide.resize, Fit.STRETCH, wide.resized_px, wide.crop_px, wide.cut)
    side = min(wide.resized_px)
    if min(tall.resized_px) == side and wide.crop_px == tall.crop_px and wide.crop_px is not None:
        return Head(wide.resize, Fit.SHORTER_SIDE, (side, side), wide.crop_px, wide.cut)
    return None


def cut_head(model: Any, channels: int, head: Head) -> Any:
    """The folded graph behind its own resize and crop; its input takes over the old one's name.

    An open batch becomes one; a fixed batch stays.

    Raises:
        ConfigError: onnxruntime cannot load the graph.
    """
    batch = graphs.image_input(model).dimensions[0] or 1
    height, width = head.crop_px or head.resized_px
    copy = type(model)()
    copy.CopyFrom(model)
    graphs.new_input(copy, graphs.image_input(copy).name, head.cut, (batch, channels, height, width))
    return graphs.folded(copy)


def _front(model: Any) -> Any | None:
    """What a graph does before its first layer, as a small graph of its own; None where that is nothing."""
    copy = type(model)()
    copy.graph.name = model.graph.name
    copy.ir_version = model.ir_version
    copy.opset_import.extend(model.opset_import)
    copy.graph.input.extend(model.graph.input)
    reached, behind, border = {graphs.image_input(model).name}, set[str](), list[str]()
    for node in model.graph.node:
        if behind & set(node.input) or node.op_type in graphs.COMPUTING:
            behind.update(node.output)
            border += [name for name in node.input if name in reached]
        else:
            copy.graph.node.append(node)
            if reached & set(node.input):
                reached.update(node.output)
    if not border:
        return None
    copy.graph.output.append(helper.make_tensor_value_info(border[0], onnx.TensorProto.FLOAT, None))
    needed = {name for node in copy.graph.node for name in node.input}
    copy.graph.initializer.extend(item for item in model.graph.initializer if item.name in needed)
    graphs.only_outputs(copy, [border[0]])
    return copy


def _look(model: Any, channels: int, size: tuple[int, int]) -> _Found | None:
    try:
        batch = graphs.image_input(model).dimensions[0] or 1
        return _walk(graphs.folded(graphs.fixed(model, (batch, channels, *size))))
    except ConfigError:  # a graph that takes no such size resizes nothing itself
        return None


def _walk(model: Any) -> _Found | None:
    """Follow the input as far as it is only resized and cropped."""
    name, found = graphs.image_input(model).name, None
    while len(takers := graphs.consumers(model, name)) == 1:
        node = takers[0]
        name = node.output[0]
        if node.op_type in _TRANSPARENT:
            continue
        step = _resize(model, node) if found is None else _crop(model, node, found)
        if step is None:
            break
        found = step
    return found


def _resize(model: Any, node: Any) -> _Found | None:
    if node.op_type != "Resize":
        return None
    settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    mode = settings.get("mode", b"nearest").decode()
    antialias = int(settings.get("antialias", 0))
    transform = settings.get("coordinate_transformation_mode", b"half_pixel").decode()
    method = _METHODS.get((mode, antialias))
    if mode == "cubic" and abs(float(settings.get("cubic_coeff_a", -0.75)) + (0.5 if antialias else 0.75)) < 1e-6:  # noqa: PLR2004
        method = _CUBIC[antialias]
    sizes = _sizes(model, node)
    if method is None or sizes is None or transform not in {"half_pixel", "pytorch_half_pixel"}:
        return None
    return _Found(method, (int(sizes[2]), int(sizes[3])), None, node.output[0])


def _sizes(model: Any, node: Any) -> npt.NDArray[np.int64] | None:
    """Of all four axes: inferred, because it may be given as scales."""
    inferred = onnx.shape_inference.infer_shapes(model)
    for entry in inferred.graph.value_info:
        if entry.name == node.output[0]:
            sides = [side.dim_value for side in entry.type.tensor_type.shape.dim]
            return np.asarray(sides) if len(sides) == 4 and all(sides) else None  # noqa: PLR2004  (N, C, H, W)
    return graphs.constant(model, node.input[3]) if len(node.input) > 3 else None  # noqa: PLR2004  (its sizes)


def _crop(model: Any, node: Any, found: _Found) -> _Found | None:
    """A slice of rows or columns about the middle."""
    if node.op_type != "Slice" or len(node.input) < 4:  # noqa: PLR2004  (data, starts, ends, axes)
        return None
    starts, ends, axes = (graphs.constant(model, name) for name in node.input[1:4])
    if starts is None or ends is None or axes is None:
        return None
    size = list(found.crop_px or found.resized_px)
    for start, end, axis in zip(starts.tolist(), ends.tolist(), axes.tolist(), strict=True):
        if axis % 4 not in _SPATIAL:
            return None
        side = axis % 4 - 2
        length = found.resized_px[side]
        first, last = (value + length if value < 0 else min(value, length) for value in (start, end))
        if first != round((length - (last - first)) / 2):
            return None
        size[side] = last - first
    return _Found(found.resize, found.resized_px, (size[0], size[1]), node.output[0])
