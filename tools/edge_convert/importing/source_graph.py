"""An exported graph in the runtime it was exported for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime

from edge_convert.importing import graph as graphs
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt


class OnnxSource:
    """An ONNX graph in onnxruntime; see `SourceGraph`."""

    def __init__(self, model: Any, outputs: Mapping[str, str]) -> None:
        """Load it.

        Raises:
            ConfigError: onnxruntime cannot load it.
        """
        self._session = graphs.session(model)
        self._outputs = dict(outputs)
        entry = self._session.get_inputs()[0]
        self._input, self._shape = entry.name, entry.shape

    @property
    def description(self) -> str:
        """See `SourceGraph`."""
        return f"onnxruntime {onnxruntime.__version__}, float32"

    def accepts(self, shape: Sequence[int]) -> bool:
        """See `SourceGraph`."""
        return len(shape) == len(self._shape) and all(
            not isinstance(side, int) or side == wanted for side, wanted in zip(self._shape, shape, strict=True)
        )

    def run(self, tensor: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
        """See `SourceGraph`."""
        try:
            values = self._session.run(list(self._outputs.values()), {self._input: tensor})
        except Exception as error:  # onnxruntime's exceptions derive from nothing more specific
            raise ConfigError(
                f"the exported graph cannot be run: {graphs.first_line(error)}", "Export it again, e.g. with opset 17."
            ) from error
        return dict(zip(self._outputs, values, strict=True))
