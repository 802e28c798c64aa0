"""An OpenVINO model as a bundle's payload, and as the source that is asked."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_convert.importing.ir_graph import brief, shape_of
from edge_runtime.domain.errors import ConfigError
from edge_runtime.engine.ir import pack_ir
from edge_runtime.engine.openvino import import_openvino

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt


class IrModel:
    """A finished model that serialises like an ONNX one."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def SerializeToString(self) -> bytes:  # noqa: N802  (the name that ONNX models have)
        """XML and weights as one payload."""
        openvino = import_openvino()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.xml"
            openvino.save_model(self.model, path, compress_to_fp16=False)
            return pack_ir(path.read_bytes(), path.with_suffix(".bin").read_bytes())


class IrSource:
    """An OpenVINO model in OpenVINO, float32; see `SourceGraph`."""

    def __init__(self, model: Any, outputs: Mapping[str, str]) -> None:
        """Compile it.

        Raises:
            ConfigError: OpenVINO cannot.
        """
        self._openvino = import_openvino()
        self._shape = shape_of(model.inputs[0])
        try:
            self._compiled = self._openvino.Core().compile_model(
                model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
            )
        except RuntimeError as error:
            raise ConfigError(f"the model cannot be compiled: {brief(error)}", "Export it again.") from error
        self._outputs = {role: self._compiled.output(name) for role, name in outputs.items()}

    @property
    def description(self) -> str:
        """See `SourceGraph`."""
        return f"openvino {self._openvino.__version__.split('-')[0]}, float32"

    def accepts(self, shape: Sequence[int]) -> bool:
        """See `SourceGraph`."""
        return len(shape) == len(self._shape) and all(
            side is None or side == wanted for side, wanted in zip(self._shape, shape, strict=True)
        )

    def run(self, tensor: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
        """See `SourceGraph`."""
        try:
            found = self._compiled([tensor])
        except RuntimeError as error:
            raise ConfigError(f"the exported model cannot be run: {brief(error)}", "Export it again.") from error
        return {role: np.array(found[port]) for role, port in self._outputs.items()}
