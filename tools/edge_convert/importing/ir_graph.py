"""An OpenVINO model under the knife: the counterpart of `graph`, `head` and `tail` for IR."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_convert.importing.head import Head
from edge_convert.importing.metadata import Normalisation
from edge_convert.importing.tail import NORMALISED_THRESHOLD, Tail
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Fit, Resize
from edge_runtime.engine.ir import pack_ir
from edge_runtime.engine.openvino import import_openvino

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

_METHODS: Final = {
    ("linear_onnx", False): Resize.LINEAR,
    ("linear", False): Resize.LINEAR,
    ("linear", True): Resize.LINEAR_ANTIALIAS,
    ("linear_onnx", True): Resize.LINEAR_ANTIALIAS,
    ("cubic", False): Resize.CUBIC,
    ("bilinear_pillow", True): Resize.LINEAR_ANTIALIAS,
    ("bicubic_pillow", True): Resize.CUBIC_ANTIALIAS,
}
_TRANSPARENT: Final = frozenset({"Reshape", "Convert", "Squeeze", "Unsqueeze"})
_WIDE, _TALL = (320, 448), (448, 320)


def read_ir(path: Path) -> Any:
    """An IR with the weights beside it.

    Raises:
        ConfigError: unreadable, or its `.bin` is missing.
        EngineError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    weights = path.with_suffix(".bin")
    if not path.is_file() or not weights.is_file():
        missing = path if not path.is_file() else weights
        raise ConfigError(f"{missing} is missing", "An OpenVINO model is two files: MODEL.xml and MODEL.bin.")
    try:
        return openvino.Core().read_model(path, weights)
    except RuntimeError as error:
        raise ConfigError(f"the model {path} is not valid OpenVINO IR: {_brief(error)}", "Export it again.") from error


def shape_of(port: Any) -> tuple[int | None, ...]:
    """Sides of an input or output; None where one is open."""
    return tuple(side.get_length() if side.is_static else None for side in port.get_partial_shape())


def reshaped(model: Any, shape: Sequence[int | None]) -> Any:
    """A copy with this input shape.

    Raises:
        ConfigError: the model takes no such shape.
    """
    openvino = import_openvino()
    copy = model.clone()
    try:
        copy.reshape(openvino.PartialShape([-1 if side is None else side for side in shape]))
    except RuntimeError as error:
        raise ConfigError(
            f"the model cannot take the input {list(shape)}: {_brief(error)}", "Export it again."
        ) from error
    return copy


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


def settle_selects(model: Any) -> None:
    """Replace every choice whose condition is constant by what it chooses, in place."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Select":
            continue
        condition = _constant(node.input_value(0))
        if condition is not None and condition.size and condition.all() == condition.any():
            _bypass(node, node.input_value(1 if condition.all() else 2))


def unclamp(model: Any, output: str) -> Tail:
    """Take the cut to 0…1 off an output, in place."""
    node, clamped = _result(model, output).input_value(0).get_node(), False
    while node.get_type_name() in {*_TRANSPARENT, "Clamp"}:
        source = node.input_value(0)
        if node.get_type_name() == "Clamp":
            bounds = node.get_attributes()
            if (bounds["min"], bounds["max"]) != (0.0, 1.0):
                break
            clamped = True
            _bypass(node, source)
        node = source.get_node()
    return Tail(clamped, _normalisation(node) if clamped else None)


def one_image(model: Any, names: Sequence[str]) -> Any:
    """Only these outputs, for a batch of one: a larger fixed batch is filled with the same image."""
    openvino = import_openvino()
    operations = openvino.opset13
    parameter = model.get_parameters()[0]
    batch = shape_of(model.inputs[0])[0] or 1
    results, begin = [], parameter
    if batch > 1:
        begin = operations.parameter([1, *list(shape_of(model.inputs[0]))[1:]], np.float32)
        begin.set_friendly_name(parameter.get_friendly_name())
        begin.output(0).get_tensor().set_names(model.inputs[0].get_names())
        takers = parameter.output(0).get_target_inputs()
        filled = operations.concat([begin] * batch, 0)
        for taker in takers:
            taker.replace_source_output(filled.output(0))
    for name in names:
        source = _result(model, name).input_value(0)
        if batch > 1:
            source = operations.slice(source, [0], [1], [1], [0]).output(0)
        source.get_tensor().set_names({name})
        result = operations.result(source)
        result.set_friendly_name(f"{name}/sink_port_0")
        results.append(result)
    return openvino.Model(results, [begin], model.get_friendly_name())


def normalise(
    model: Any, sources: Mapping[str, str], found: Mapping[str, Normalisation], names: Mapping[str, str]
) -> Any:
    """Append anomalib's own arithmetic, without the cut.

    Args:
        model: the model.
        sources: role → output with the raw value; a score that is missing is the map's largest value.
        found: role → its normalisation.
        names: role → name of the new output.
    """
    openvino = import_openvino()
    operations = openvino.opset13
    results = list(model.get_results())
    for role, normalisation in found.items():
        if role in sources:
            source = _result(model, sources[role]).input_value(0)
        else:
            plane = _result(model, sources["anomaly_map"]).input_value(0)
            axes = list(range(len(plane.get_partial_shape())))
            source = operations.reduce_max(plane, axes, keep_dims=False).output(0)
        above = operations.subtract(source, np.float32(normalisation.threshold))
        share = operations.divide(above, np.float32(normalisation.width))
        value = operations.add(share, np.float32(NORMALISED_THRESHOLD))
        value.output(0).get_tensor().set_names({names[role]})
        results.append(operations.result(value))
    return openvino.Model(results, model.get_parameters(), model.get_friendly_name())


class IrModel:
    """A finished model that serialises like an ONNX one."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def SerializeToString(self) -> bytes:  # noqa: N802  (the name that ONNX models have)
        """XML and weights as one payload."""
        openvino = import_openvino()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.xml"
            openvino.save_model(self.model, path, compress_to_fp16=False)
            return pack_ir(path.read_bytes(), path.with_suffix(".bin").read_bytes())


class IrSource:
    """An OpenVINO model in OpenVINO, float32; see `SourceGraph`."""

    def __init__(self, model: Any, outputs: Mapping[str, str]) -> None:
        """Compile it.

        Raises:
            ConfigError: OpenVINO cannot.
        """
        self._openvino = import_openvino()
        self._shape = shape_of(model.inputs[0])
        try:
            self._compiled = self._openvino.Core().compile_model(
                model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
            )
        except RuntimeError as error:
            raise ConfigError(f"the model cannot be compiled: {_brief(error)}", "Export it again.") from error
        self._outputs = {role: self._compiled.output(name) for role, name in outputs.items()}

    @property
    def description(self) -> str:
        """See `SourceGraph`."""
        return f"openvino {self._openvino.__version__.split('-')[0]}, float32"

    def accepts(self, shape: Sequence[int]) -> bool:
        """See `SourceGraph`."""
        return len(shape) == len(self._shape) and all(
            side is None or side == wanted for side, wanted in zip(self._shape, shape, strict=True)
        )

    def run(self, tensor: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
        """See `SourceGraph`."""
        try:
            found = self._compiled([tensor])
        except RuntimeError as error:
            raise ConfigError(f"the exported model cannot be run: {_brief(error)}", "Export it again.") from error
        return {role: np.array(found[port]) for role, port in self._outputs.items()}


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
        if node.get_type_name() in _TRANSPARENT:
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
    starts = _constant(node.input_value(1))
    if None in shape[2:] or starts is None:
        return None
    size = (int(shape[2] or 0), int(shape[3] or 0))
    old = found.crop_px or found.resized_px
    wanted = [round((found.resized_px[axis] - size[axis]) / 2) for axis in (0, 1) if size[axis] != old[axis]]
    if sorted(start for start in starts.tolist() if start) != sorted(start for start in wanted if start):
        return None
    return Head(found.resize, found.fit, found.resized_px, size, str(node.get_friendly_name()))


def _normalisation(node: Any) -> Normalisation | None:
    """X · a + b, which OpenVINO makes of (x − threshold) / width + 0.5."""
    if node.get_type_name() != "Add":
        return None
    shift = _scalar(node.input_value(1))
    inner = node.input_value(0).get_node()
    if shift is None or inner.get_type_name() not in {"Multiply", "Divide"}:
        return None
    factor = _scalar(inner.input_value(1))
    if factor is None or factor <= 0:
        return None
    width = factor if inner.get_type_name() == "Divide" else 1.0 / factor
    before = inner.input_value(0).get_node()
    if before.get_type_name() == "Subtract":
        threshold = _scalar(before.input_value(1))
        return None if threshold is None else Normalisation(threshold, width)
    return Normalisation((NORMALISED_THRESHOLD - shift) * width, width)


def _bypass(node: Any, source: Any) -> None:
    names = set(node.output(0).get_names())
    for taker in node.output(0).get_target_inputs():
        taker.replace_source_output(source)
    source.get_tensor().set_names(set(source.get_names()) | names)


def _result(model: Any, name: str) -> Any:
    return next(result for result in model.get_results() if name in result.input_value(0).get_names())


def _constant(port: Any) -> npt.NDArray[Any] | None:
    node = port.get_node()
    return np.asarray(node.data) if node.get_type_name() == "Constant" else None


def _scalar(port: Any) -> float | None:
    value = _constant(port)
    return float(value.reshape(())) if value is not None and value.size == 1 else None


def _brief(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("Exception from"))[:300] or type(error).__name__
