"""`preprocess.json`: a trainer's transforms under their torchvision names, in the order in which they are applied.

    {"colour": "rgb",
     "transforms": [{"type": "Resize", "size": [256, 256], "interpolation": "bilinear", "antialias": true},
                    {"type": "CenterCrop", "size": 224},
                    {"type": "ToDtype", "scale": true},
                    {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}]}

A resize before `ToTensor` or `ToDtype` works on whole pixels, as PIL does; one behind it on fractions. The
specification that anomalib 2.7 keeps in its checkpoints (`class_path`, `init_args`) is read as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from edge_convert.importing.documents import numbers, read_object, size_of
from edge_convert.importing.stated import Stated
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Resize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_RESIZES: Final = {
    ("bilinear", True): Resize.LINEAR_ANTIALIAS,
    ("bilinear", False): Resize.LINEAR,
    ("bicubic", True): Resize.CUBIC_ANTIALIAS,
    ("bicubic", False): Resize.CUBIC,
    ("nearest", True): Resize.NEAREST,
    ("nearest", False): Resize.NEAREST,
    ("nearest-exact", True): Resize.NEAREST,
    ("nearest-exact", False): Resize.NEAREST,
    ("area", True): Resize.AREA,
    ("area", False): Resize.AREA,
}
_PIL_NUMBERS: Final = {0: "nearest", 2: "bilinear", 3: "bicubic"}
_FULL_SCALE: Final = 255.0


@dataclass(frozen=True, slots=True)
class _Chain:
    """What the transforms read so far amount to."""

    stated: Stated
    pil: bool = True
    """The image is no tensor yet: PIL widens its filters whatever `antialias` says."""
    floats: bool = False
    """Pixels are floating-point numbers by now."""
    unit: bool = False
    """They were scaled to 0…1."""


def read_transforms(path: Path) -> Stated:
    """Read a preprocessing file.

    Raises:
        ConfigError: unreadable, an unknown transform, or an order that no bundle can express.
    """
    document = read_object(path, "the preprocessing file")
    steps = document.get("transforms", [document] if "class_path" in document else None)
    if not isinstance(steps, list):
        raise ConfigError(f"{path} lists no transforms", 'Write {"transforms": [{"type": "Resize", …}, …]}.')
    colour = Stated(colour=_colour(document.get("colour", "rgb"), path))
    chain = _Chain(colour)
    if "class_path" in document:  # anomalib reads images as floats in 0…1
        chain = _Chain(replace(colour, scale=1.0), pil=False, floats=True, unit=True)
    for step in _flat(steps, path):
        name = str(step["type"])
        if name not in _STEPS:
            raise ConfigError(
                f"{path} lists the transform {name!r}, which no bundle can apply",
                f"Known are: {', '.join(sorted(_STEPS))}. Put anything else into the graph and export again.",
            )
        chain = _STEPS[name](chain, step, path)
    if not chain.unit and chain.stated.scale is None:
        chain = replace(chain, stated=replace(chain.stated, scale=_FULL_SCALE))
    return replace(chain.stated, input_px=chain.stated.input_px or chain.stated.resized_px)


def _flat(steps: list[Any], path: Path) -> list[dict[str, Any]]:
    """The steps with `Compose` opened, in one spelling."""
    found: list[dict[str, Any]] = []
    for step in steps:
        if not isinstance(step, dict) or not ("type" in step or "class_path" in step):
            raise ConfigError(f"{path} lists a transform without a type: {step!r}", 'Write {"type": "Resize", …}.')
        if "class_path" in step:
            arguments = step.get("init_args")
            spelled = {**(arguments if isinstance(arguments, dict) else {})}
            spelled["type"] = str(step["class_path"]).rsplit(".", 1)[-1]
        else:
            spelled = step
        inner = spelled.get("transforms")
        found += _flat(inner, path) if spelled["type"] == "Compose" and isinstance(inner, list) else [spelled]
    return found


def _colour(value: Any, path: Path) -> ColourOrder:
    try:
        return ColourOrder(value)
    except ValueError as error:
        raise ConfigError(f"{path}: colour {value!r} is unknown", "Write rgb, bgr or mono.") from error


def _resize(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:
    if chain.stated.resized_px is not None or chain.stated.mean is not None:
        raise ConfigError(
            f"{path} resizes twice, or after normalising, which no bundle can express",
            "Put the later resize into the graph and export again.",
        )
    size, fit = size_of(step.get("size")), Fit.STRETCH
    if size is None:
        side = step.get("size")
        side = side[0] if isinstance(side, list) and len(side) == 1 else side
        if not isinstance(side, int) or side < 1:
            raise ConfigError(f"{path}: Resize has no size: {step.get('size')!r}", "Write [height, width] or a number.")
        size, fit = (side, side), Fit.SHORTER_SIDE
    given = step.get("interpolation", "bilinear")
    name = str(_PIL_NUMBERS.get(given, given)).lower().removeprefix("interpolationmode.")
    antialias = step.get("antialias", True) is not False or chain.pil
    method = _RESIZES.get((name, antialias))
    if method is None:
        raise ConfigError(f"{path}: interpolation {given!r} is unknown", "Write bilinear, bicubic, nearest or area.")
    stated = replace(chain.stated, resized_px=size, fit=fit, resize=method, keep_fractions=chain.floats)
    return replace(chain, stated=stated)


def _crop(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:
    side = step.get("size")
    size = (side, side) if isinstance(side, int) else size_of(side)
    if size is None or chain.stated.resized_px is None:
        raise ConfigError(f"{path}: CenterCrop has no size, or no Resize before it", "Write Resize, then CenterCrop.")
    return replace(chain, stated=replace(chain.stated, input_px=size))


def _to_floats(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:  # noqa: ARG001  (a step among others)
    unit = step.get("type") != "ToDtype" or step.get("scale", False) is True
    stated = replace(chain.stated, scale=1.0 if unit else _FULL_SCALE)
    return replace(chain, pil=False, floats=True, unit=unit, stated=stated)


def _normalise(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:
    mean, std = numbers(step.get("mean")), numbers(step.get("std"))
    if mean is None or std is None or min(std) <= 0:
        raise ConfigError(f"{path}: Normalize needs mean and std above 0", "Write three numbers each.")
    return replace(chain, pil=False, floats=True, stated=replace(chain.stated, mean=mean, std=std))


def _grey(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:
    if step.get("num_output_channels", 1) == 1:
        return replace(chain, stated=replace(chain.stated, colour=ColourOrder.MONO))
    raise ConfigError(f"{path}: grey in three channels cannot be expressed", "Train on one channel, or on colour.")


def _to_bytes(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:  # noqa: ARG001  (a step among others)
    return replace(chain, pil=False)


def _nothing(chain: _Chain, step: Mapping[str, Any], path: Path) -> _Chain:  # noqa: ARG001  (a step among others)
    return chain


_STEPS: Final[dict[str, Callable[[_Chain, Mapping[str, Any], Path], _Chain]]] = {
    "Resize": _resize,
    "CenterCrop": _crop,
    "ExportableCenterCrop": _crop,
    "ToTensor": _to_floats,
    "ToDtype": _to_floats,
    "ConvertImageDtype": _to_floats,
    "Normalize": _normalise,
    "Grayscale": _grey,
    "ToImage": _to_bytes,
    "PILToTensor": _to_bytes,
    "ToPureTensor": _nothing,
    "Identity": _nothing,
}
