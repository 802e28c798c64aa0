"""`[engine]` and `[bundle]`: which model runs, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_runtime.config.base import Settings


class EngineSettings(Settings):
    """The inference engine."""

    name: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """`auto` takes OpenVINO if it is installed, else onnxruntime."""
    provider: Literal["cpu", "cuda", "tensorrt", "openvino"] = "cpu"
    """onnxruntime's execution provider. A provider that is not there is an error, never a silent fall-back."""
    device: str = "CPU"
    """OpenVINO's device: CPU, GPU, NPU."""
    threads: int = Field(default=0, ge=0, le=256)
    """0: as many as the process may use cores."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """Hint for the layers that are not quantized. f32 keeps scores exact."""
    cache_dir: Path | None = None
    """OpenVINO's and TensorRT's compiled models; halves loading."""


class BundleSettings(Settings):
    """The bundle that decides."""

    path: Path
    """The bundle, as `edge-convert teach` writes it."""
    trust: Literal["development", "production"] = "development"
    """`production` refuses unsigned bundles; bundle format 0 is never signed."""
