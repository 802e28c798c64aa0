"""Running graphs; nothing about anomalies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.engine.port import Engine


def create(settings: EngineSettings) -> Engine:
    """The engine that the configuration names; `auto` takes OpenVINO if it is installed, else onnxruntime.

    Raises:
        EngineError: the engine, provider, device or precision is not there; says what supplies it. Never falls back.
    """
    name: str = settings.name
    if name == "auto":
        from edge_runtime.engine.inventory import preferred_engine  # noqa: PLC0415

        name = preferred_engine(settings)
    if name == "openvino":
        from edge_runtime.engine.openvino import OpenVinoEngine  # noqa: PLC0415

        return OpenVinoEngine(settings)
    from edge_runtime.engine.onnxruntime import OnnxRuntimeEngine  # noqa: PLC0415

    return OnnxRuntimeEngine(settings)
