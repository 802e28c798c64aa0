"""Preprocessing that an IR carries inside: the counterpart of `head` for OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_convert.importing.head import Head
from edge_convert.importing.ir_graph import TRANSPARENT, constant, reshaped, shape_of
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Fit, Resize
from edge_runtime.engine.openvino import import_openvino

if TYPE_CHECKING:
    from collections.abc import Sequence

_METHODS: Final = {
    ("linear_onnx", False): Resize.LINEAR,
    ("linear", False): Resize.LINEAR,
    ("linear", True): Resize.LINEAR_ANTIALIAS,
    ("linear_onnx", True): Resize.LINEAR_ANTIALIAS,
    ("cubic", False): Resize.CUBIC,
    ("bilinear_pillow", True): Resize.LINEAR_ANTIALIAS,
    ("bicubic_pillow", True): Resize.CUBIC_ANTIALIAS,
}
_WIDE, _TALL = (320, 448), (448, 320)


def read_head(model: Any) -> Head | None:
    """What the model does before its first layer; see `head.read_head`."""
    batch, channels, *sides = shape_of(model.inputs[0])
    sizes = [tuple(side or other for side, other in zip(sides, size, strict=True)) for size in (_WIDE, _TALL)]
    looks = [_look(model, (batch or 1, channels or 3, *size)) for size in sizes]
    if looks[0] is None or looks[1] is None:
        return None
    wide, tall = looks[0], looks[1]
    if wide.resized_px == tall.resized_px:
        return wide
    side = min(wide.resized_px)
    if min(tall.resized_px) == side and wide.crop_px == tall.crop_px and wide.crop_px is not None:
        return Head(wide.resize, Fit.SHORTER_SIDE, (side, side), wide.crop_px, wide.cut)
    return None


def cut_head(model: Any, head: Head) -> Any:
    """A copy that begins behind its own resize and crop; its input keeps its names."""
    openvino = import_openvino()
    batch, channels, *sides = shape_of(model.inputs[0])
    size = (side or other for side, other in zip(sides, _WIDE, strict=True))
    copy = reshaped(model, (batch or 1, channels or 3, *size))
    _fold(copy)  # what else asks for the old input's shape
    old = copy.inputs[0]
    height, width = head.crop_px or head.resized_px
    node = next(item for item in copy.get_ops() if item.get_friendly_name() == head.cut)
    begin = openvino.opset13.parameter([batch or 1, channels or 3, height, width], np.float32)
    begin.set_friendly_name(old.get_node().get_friendly_name())
    begin.output(0).get_tensor().set_names(old.get_names())
    for taker in node.output(0).get_target_inputs():
        taker.replace_source_output(begin.output(0))
    return openvino.Model(copy.get_results(), [begin], copy.get_friendly_name())


def _fold(model: Any) -> None:
    """Compute what is constant, in place."""
    import_openvino()
    from openvino import passes  # noqa: PLC0415  (only behind the import that keeps telemetry out)

    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)


def _look(model: Any, shape: Sequence[int]) -> Head | None:
    try:
        fixed = reshaped(model, shape)
    except ConfigError:
        return None
    port, found = fixed.inputs[0].get_node().output(0), None
    while len(takers := [t for t in port.get_target_inputs() if t.get_node().get_type_name() != "ShapeOf"]) == 1:
        node = takers[0].get_node()
        port = node.output(0)
        if node.get_type_name() in TRANSPARENT:
            continue
        step = _resize(node) if found is None else _crop(node, found)
        if step is None:
            break
        found = step
    return found


def _resize(node: Any) -> Head | None:
    if node.get_type_name() != "Interpolate":
        return None
    settings = node.get_attributes()
    antialias = bool(settings.get("antialias", False)) or str(settings["mode"]).endswith("_pillow")
    method = _METHODS.get((settings["mode"], antialias))
    shape = shape_of(node.output(0))
    transform = settings.get("coordinate_transformation_mode", "half_pixel")
    if method is None or None in shape[2:] or transform not in {"half_pixel", "pytorch_half_pixel"}:
        return None
    size = (int(shape[2] or 0), int(shape[3] or 0))
    return Head(method, Fit.STRETCH, size, None, str(node.get_friendly_name()))


def _crop(node: Any, found: Head) -> Head | None:
    """A slice of rows or columns about the middle."""
    if node.get_type_name() not in {"Slice", "StridedSlice"}:
        return None
    shape = shape_of(node.output(0))
    starts = constant(node.input_value(1))
    if None in shape[2:] or starts is None:
        return None
    size = (int(shape[2] or 0), int(shape[3] or 0))
    old = found.crop_px or found.resized_px
    wanted = [round((found.resized_px[axis] - size[axis]) / 2) for axis in (0, 1) if size[axis] != old[axis]]
    if sorted(start for start in starts.tolist() if start) != sorted(start for start in wanted if start):
        return None
    return Head(found.resize, found.fit, found.resized_px, size, str(node.get_friendly_name()))
