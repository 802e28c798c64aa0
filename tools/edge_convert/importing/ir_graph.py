"""An OpenVINO model under the knife: the counterpart of `graph` and `tail` for IR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_convert.importing.metadata import Normalisation
from edge_convert.importing.tail import NORMALISED_THRESHOLD, Tail
from edge_runtime.domain.errors import ConfigError
from edge_runtime.engine.openvino import import_openvino

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

TRANSPARENT: Final = frozenset({"Reshape", "Convert", "Squeeze", "Unsqueeze"})
"""Operations that leave one image, or one number, what it is."""


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
        raise ConfigError(f"the model {path} is not valid OpenVINO IR: {brief(error)}", "Export it again.") from error


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
            f"the model cannot take the input {list(shape)}: {brief(error)}", "Export it again."
        ) from error
    return copy


def settle_selects(model: Any) -> None:
    """Replace every choice whose condition is constant by what it chooses, in place."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Select":
            continue
        condition = constant(node.input_value(0))
        if condition is not None and condition.size and condition.all() == condition.any():
            _bypass(node, node.input_value(1 if condition.all() else 2))


def unclamp(model: Any, output: str) -> Tail:
    """Take the cut to 0…1 off an output, in place."""
    node, clamped = _result(model, output).input_value(0).get_node(), False
    while node.get_type_name() in {*TRANSPARENT, "Clamp"}:
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


def constant(port: Any) -> npt.NDArray[Any] | None:
    """The value behind an input, if it is a constant."""
    node = port.get_node()
    return np.asarray(node.data) if node.get_type_name() == "Constant" else None


def _scalar(port: Any) -> float | None:
    value = constant(port)
    return float(value.reshape(())) if value is not None and value.size == 1 else None


def brief(error: RuntimeError) -> str:
    """What OpenVINO's message says, without its source lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("Exception from"))[:300] or type(error).__name__
