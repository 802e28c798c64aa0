"""The trained networks in PyTorch with the preprocessing they were trained with: what the bundle has to equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge_convert.efficientad.device import Device
from edge_convert.efficientad.parts import as_inspected, piece_spec
from edge_runtime.detectors.port import Detection
from edge_runtime.vision.anomaly_map import read_only

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.efficientad.data import Picture
    from edge_convert.efficientad.model import EfficientAd
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.cutting import Inspected


class TorchReference:
    """EfficientAD in float32 on the CPU: a `ReferenceModel`."""

    def __init__(self, model: EfficientAd, spec: InputSpec) -> None:
        """Take a trained model, which is on the CPU, and switch its dropout off; `spec` says how it sees frames."""
        model.evaluate()
        self._model = model
        self._spec = spec
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
        return self._look(as_inspected(exposure, self._spec), None)

    def look(self, pixels: Exposure, inspected: Inspected | None) -> Detection:
        """See `WholeReference`."""
        return self._look(as_inspected(pixels, piece_spec(self._spec)), inspected)

    def covers(self, path: Path | None) -> bool:  # noqa: ARG002  (the port's signature)
        """See the port."""
        return True

    def _look(self, picture: Picture, inspected: Inspected | None) -> Detection:
        with torch.inference_mode():
            found = self._model.anomaly_map(self._device.normalised(self._device.tensor([picture])))
        plane = found[0, 0].numpy()
        if inspected is not None:
            counted = inspected.cells(*plane.shape)
            plane = np.where(counted, plane, 0)
            return Detection(float(plane[counted].max()), read_only(plane))
        return Detection(float(plane.max()), read_only(plane))
