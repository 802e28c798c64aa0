"""Which engines this machine offers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.onnxruntime import import_onnxruntime
from edge_runtime.engine.openvino import CAPABILITIES, import_openvino, is_installed

if TYPE_CHECKING:
    from edge_runtime.config.engine import EngineSettings


@dataclass(frozen=True, slots=True)
class EngineReport:
    """One engine as `doctor` shows it."""

    name: str
    """"onnxruntime" or "openvino"."""
    version: str
    """Empty where the engine is not there."""
    devices: tuple[str, ...]
    """onnxruntime's execution providers, or OpenVINO's devices."""
    usable: bool
    detail: str
    """Why not, and what to do; empty when all is well."""


def available_engines() -> list[EngineReport]:
    """Every engine that the configuration can name, usable or not."""
    return [_onnxruntime(), _openvino()]


def installed_versions() -> dict[str, str]:
    """Version by engine, without importing any."""
    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu", "openvino"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def precisions_of(name: str, device: str) -> tuple[str, ...]:
    """What an engine's device computes in of its own accord; values of `engine.precision`.

    Raises:
        EngineError: OpenVINO or the device is not there.
    """
    if name != "openvino":
        return ("f32",)
    offered = import_openvino().Core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    return ("f32", *(precision for precision, called in CAPABILITIES.items() if called in offered))


def preferred_engine(settings: EngineSettings) -> str:
    """What `auto` means here: a setting that only one engine has decides, else OpenVINO if it is installed."""
    if settings.provider != "cpu":
        return "onnxruntime"
    if settings.device != "CPU":
        return "openvino"
    return "openvino" if is_installed() else "onnxruntime"


def _onnxruntime() -> EngineReport:
    try:
        module = import_onnxruntime()
    except EngineError as error:
        return EngineReport("onnxruntime", "", (), usable=False, detail=error.diagnostics())
    return EngineReport(
        "onnxruntime", module.__version__, tuple(module.get_available_providers()), usable=True, detail=""
    )


def _openvino() -> EngineReport:
    try:
        module = import_openvino()
    except EngineError as error:
        return EngineReport("openvino", "", (), usable=False, detail=error.diagnostics())
    devices = tuple(module.Core().available_devices)
    detail = "" if devices else "OpenVINO finds no device\n  → reinstall it: pip install --force-reinstall openvino"
    return EngineReport("openvino", module.__version__.split("-")[0], devices, usable=bool(devices), detail=detail)
