"""Import of a pretrained backbone: an ONNX file whose outputs are feature maps, or the tokens of a transformer."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime

from edge_convert.feature_maps import accept_nchw, as_maps, recognise
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

_LOWEST_OPSET: Final = 13
"""Per-channel QuantizeLinear came with it."""
_DEFAULT_STRIDES: Final = (8, 16)
"""PatchCore's mid-level features: local enough to find a scratch, not yet bound to ImageNet's classes
(arXiv 2106.08265, section 3.1)."""
_RANK: Final = 4
_RGB: Final = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """An output of the backbone at the chosen input size."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone fixed to one input size, constants folded."""

    model: Any
    """`onnx.ModelProto`; input 1×3×H×W float32, RGB."""
    input_name: str
    layers: tuple[Layer, ...]
    """All outputs, finest first."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """network input = (pixel / 255 − mean) / std."""
    height_px: int
    width_px: int
    digest: str
    """SHA-256 of the imported file."""
    file_name: str
    metadata: Mapping[str, str]
    notices: tuple[str, ...]


def load_backbone(
    path: Path,
    height_px: int,
    width_px: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Backbone:
    """Import a backbone and fix it to an input size.

    Normalisation comes from `mean` and `std`, else from the file's metadata `input_mean` and `input_std`, else it is
    ImageNet's, with a notice.

    Raises:
        ConfigError: not an ONNX file, not one image input with three channels, no usable feature map.
    """
    content, model = _read(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    chosen_mean, chosen_std, notices = _normalisation(path, metadata, mean, std)
    input_name = _fix_input(path, model, height_px, width_px)
    folded = _fold(path, model)
    return Backbone(
        model=folded,
        input_name=input_name,
        layers=_measure(path, folded, input_name, height_px, width_px),
        mean=chosen_mean,
        std=chosen_std,
        height_px=height_px,
        width_px=width_px,
        digest=hashlib.sha256(content).hexdigest(),
        file_name=path.name,
        metadata=metadata,
        notices=notices,
    )


def choose_layers(backbone: Backbone, names: Sequence[str]) -> tuple[Layer, ...]:
    """The named outputs, or without names those at strides 8 and 16; finest first.

    Raises:
        ConfigError: an unknown name, or no output at those strides.
    """
    if names:
        known = {layer.name for layer in backbone.layers}
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(
                f"the backbone {backbone.file_name} has no output {unknown[0]!r}",
                f"Choose --layers from: {', '.join(layer.name for layer in backbone.layers)}.",
            )
        return tuple(layer for layer in backbone.layers if layer.name in names)
    # Padding rounds a side of no whole number of strides up, its lack rounds it down.
    wanted = [backbone.height_px / stride for stride in _DEFAULT_STRIDES]
    heights = {min((layer.height for layer in backbone.layers), key=lambda one: abs(one - height)) for height in wanted}
    near = {one for one in heights if any(abs(one - height) < 1 for height in wanted)}
    chosen = tuple(layer for layer in backbone.layers if layer.height in near)
    if not chosen:
        raise ConfigError(
            f"the backbone {backbone.file_name} has no output at stride 8 or 16",
            f"Name its feature maps with --layers: {_listed(backbone)}.",
        )
    return chosen


def _listed(backbone: Backbone) -> str:
    return ", ".join(f"{layer.name} (stride {backbone.height_px / layer.height:.3g})" for layer in backbone.layers)


def _read(path: Path) -> tuple[bytes, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the backbone {path} cannot be read: {error.strerror}", "Check --backbone.") from error
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
        if max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0) < (
            _LOWEST_OPSET
        ):
            model = onnx.version_converter.convert_version(model, _LOWEST_OPSET)
    except Exception as error:  # onnx and protobuf share no base class for "this file is not a model"
        raise ConfigError(
            f"the backbone {path} is not a valid ONNX model: {_first_line(error)}", "Name an .onnx file."
        ) from error
    return content, model


def _normalisation(
    path: Path, metadata: Mapping[str, str], mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    if (mean is None) != (std is None):
        raise ConfigError("only one of --mean and --std is given", "Give both, three numbers each.")
    notices: tuple[str, ...] = ()
    if mean is None or std is None:
        if "input_mean" in metadata and "input_std" in metadata:
            mean, std = _numbers(path, metadata["input_mean"]), _numbers(path, metadata["input_std"])
        else:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
            notices = (f"{path.name} does not state its normalisation: ImageNet's mean and deviation are assumed",)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:  # noqa: PLR2004  (RGB)
        raise ConfigError(
            f"normalisation mean {tuple(mean)}, std {tuple(std)} is not three numbers each with std > 0",
            "Correct --mean and --std (for pixels scaled to 0…1).",
        )
    return tuple(mean), tuple(std), notices


def _numbers(path: Path, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.strip("[]() ").split(","))
    except ValueError as error:
        raise ConfigError(
            f"the backbone {path} states an unreadable normalisation {text!r}", "Give --mean and --std instead."
        ) from error


def _fix_input(path: Path, model: Any, height_px: int, width_px: int) -> str:
    initializers = {initializer.name for initializer in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in initializers]
    dimensions = inputs[0].type.tensor_type.shape.dim if len(inputs) == 1 else ()
    wanted = next((shape for shape in _inputs(height_px, width_px) if _fits(dimensions, shape)), None)
    if wanted is None or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        shape = [dimension.dim_value or dimension.dim_param for dimension in dimensions]
        raise ConfigError(
            f"the backbone {path} has {len(inputs)} input(s), the first of shape {shape}",
            f"Export it with one float32 input N×3×{height_px}×{width_px}, or choose --size as the file demands.",
        )
    for dimension, value in zip(dimensions, wanted, strict=True):
        dimension.dim_value = value
    del model.graph.value_info[:]  # shapes that were inferred for another size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    name = str(inputs[0].name)
    return name if wanted[1] == _RGB else accept_nchw(model, name, height_px, width_px)


def _inputs(height_px: int, width_px: int) -> tuple[tuple[int, ...], ...]:
    """Shapes that an input may have: PyTorch's, then TensorFlow's."""
    return (1, _RGB, height_px, width_px), (1, height_px, width_px, _RGB)


def _fits(dimensions: Sequence[Any], wanted: Sequence[int]) -> bool:
    return len(dimensions) == _RANK and all(
        not dimension.dim_value or dimension.dim_value == value
        for dimension, value in zip(dimensions, wanted, strict=True)
    )


def _fold(path: Path, model: Any) -> Any:
    """Fold constants and batch norms with onnxruntime's basic level, which leaves standard operators only."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 3
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions derive from nothing more specific
            raise ConfigError(
                f"the backbone {path} cannot be loaded: {_first_line(error)}", "Export it again with opset 17."
            ) from error
        return onnx.load_model(target)


def _measure(path: Path, model: Any, input_name: str, height_px: int, width_px: int) -> tuple[Layer, ...]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(None, {input_name: np.zeros((1, 3, height_px, width_px), dtype=np.float32)})
    shapes = {entry.name: value.shape for entry, value in zip(model.graph.output, values, strict=True)}
    forms = {name: recognise(shape, height_px, width_px) for name, shape in shapes.items()}
    found = {name: form for name, form in forms.items() if form is not None}
    if not found:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ConfigError(
            f"no output of the backbone {path} is a feature map with the input's proportions: {listed}",
            "Export the outputs of its stages: maps N×C×H×W or N×H×W×C, or tokens N×L×C in rows of the image.",
        )
    as_maps(model, found)
    layers = [Layer(name, form.channels, form.height, form.width) for name, form in found.items()]
    return tuple(sorted(layers, key=lambda layer: -layer.height * layer.width))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
