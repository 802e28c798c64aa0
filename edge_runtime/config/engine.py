"""`[engine]` and `[bundle]`: which model runs, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edge_runtime.config.base import Settings
from edge_runtime.domain.update import PRODUCT_FORM, PRODUCT_PATTERN


class EngineSettings(Settings):
    """The inference engine."""

    name: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """`auto` takes OpenVINO if it is installed, else onnxruntime."""
    provider: Literal["cpu", "cuda", "tensorrt", "openvino"] = "cpu"
    """onnxruntime's execution provider. A provider that is not there is an error, never a silent fall-back."""
    device: str = "CPU"
    """OpenVINO's device: CPU, GPU, NPU."""
    threads: int = Field(default=0, ge=0, le=256)
    """Of one inspection. 0: as many as the process may use cores."""
    at_once: int = Field(default=1, ge=1, le=16)
    """So many parts are inspected side by side while more than one waits, each on an engine of its own: more parts per
    second, and more memory."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """Hint for the layers that are not quantized. f32 keeps scores exact."""
    cache_dir: Path | None = None
    """OpenVINO's and TensorRT's compiled models; halves loading."""
    tuned: Path | None = None
    """File that `edge-runtime tune` writes. What it found fastest for this bundle on this device is used for those of
    `name`, `device`, `threads` and `precision` that are not set here."""


class BundleSettings(Settings):
    """The bundle that decides: one file, or whatever release of a product is active on this device."""

    path: Path | None = None
    """One bundle, as `edge-convert teach` writes it; set this or `product`."""
    product: str | None = Field(default=None, pattern=PRODUCT_PATTERN, json_schema_extra={"form": PRODUCT_FORM})
    """What the line inspects: the active signed release of this product, as `edge-runtime bundle install` and the
    updater put it there; set this or `path`."""
    trust: Literal["development", "production"] = "development"
    """`production` takes signed releases only, and therefore goes with `product`."""

    @model_validator(mode="after")
    def _one_source(self) -> BundleSettings:
        if (self.path is None) == (self.product is None):
            message = "set either path or product"
            raise ValueError(message)
        return self
