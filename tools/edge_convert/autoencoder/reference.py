"""The trained network in PyTorch itself, as the source model that a bundle has to equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge_convert.autoencoder.graph import OUTPUT
from edge_convert.autoencoder.pictures import INPUT
from edge_runtime.detectors.reconstruction import ReconstructionDetector
from edge_runtime.engine.port import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from edge_convert.autoencoder.networks import Reconstructor
    from edge_convert.autoencoder.plan import TrainPlan
    from edge_runtime.detectors.port import Detection
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.engine.port import Graph, Tensor


class TorchEngine:
    """An engine that knows one network, in float32 on the CPU, whatever bytes it is given."""

    def __init__(self, network: Reconstructor, plan: TrainPlan) -> None:
        self._graph = _TorchGraph(network, plan)

    @property
    def name(self) -> str:
        """See the port."""
        return "pytorch"

    @property
    def description(self) -> str:
        """See the port."""
        return f"PyTorch {torch.__version__}, cpu, float32"

    def load(self, model: bytes) -> Graph:  # noqa: ARG002  (the port's signature)
        """See the port."""
        return self._graph


class _TorchGraph:
    def __init__(self, network: Reconstructor, plan: TrainPlan) -> None:
        self._network = network
        shape = (1, plan.channels, plan.height_px, plan.width_px)
        self.inputs: Sequence[TensorInfo] = (TensorInfo(INPUT, shape, "float32"),)
        self.outputs: Sequence[TensorInfo] = (TensorInfo(OUTPUT, shape, "float32"),)

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        with torch.inference_mode():
            found: Tensor = self._network(torch.from_numpy(feeds[INPUT])).numpy()
        return dict.fromkeys(outputs, found)


class _NoPayloads:
    def read(self, name: str) -> bytes:  # noqa: ARG002  (the port's signature)
        return b""


class TorchReference:
    """The daemon's detector over `TorchEngine`: a `ReferenceModel`."""

    def __init__(self, network: Reconstructor, plan: TrainPlan, manifest: ModelBundle) -> None:
        """Wrap a network.

        Args:
            network: trained, in inference mode, on the CPU.
            plan: its sizes.
            manifest: what the bundle will state of input, criterion and parameters.
        """
        engine = TorchEngine(network, plan)
        self.description = engine.description
        self._detector = ReconstructionDetector(manifest, _NoPayloads(), engine)

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:  # noqa: ARG002  (the port's signature)
        """See the port."""
        return self._detector.inspect((exposure,))

    def covers(self, path: Path | None) -> bool:  # noqa: ARG002  (the port's signature)
        """See the port."""
        return True

    def residual(self, exposure: Exposure) -> npt.NDArray[np.float32]:
        """See `ReconstructionDetector.residual`."""
        return self._detector.residual(exposure)
