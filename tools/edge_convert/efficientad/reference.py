"""The trained networks in PyTorch with the preprocessing they were trained with: what the bundle has to equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge_convert.efficientad.data import as_inspected
from edge_convert.efficientad.device import Device
from edge_runtime.detectors.port import Detection

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.efficientad.model import EfficientAd
    from edge_runtime.domain.frame import Exposure


class TorchReference:
    """EfficientAD in float32 on the CPU: a `ReferenceModel`."""

    def __init__(self, model: EfficientAd, region: tuple[int, int, int, int] | None) -> None:
        """Take a trained model, which is on the CPU, and switch its dropout off."""
        model.evaluate()
        self._model = model
        self._region = region
        self._device = Device("cpu", bf16=False)

    @property
    def description(self) -> str:
        """See the port."""
        return f"PyTorch {torch.__version__}, cpu, float32"

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:  # noqa: ARG002  (the port's signature)
        """See the port.

        Raises:
            ImageError: the region does not fit the frame.
        """
        picture = as_inspected(exposure, self._region, self._model.height_px, self._model.width_px)
        with torch.inference_mode():
            found = self._model.anomaly_map(self._device.normalised(self._device.tensor([picture])))
        plane = found[0, 0].numpy()
        plane.setflags(write=False)
        return Detection(score=float(plane.max()), anomaly_map=plane)

    def covers(self, path: Path | None) -> bool:  # noqa: ARG002  (the port's signature)
        """See the port."""
        return True
