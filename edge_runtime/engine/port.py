"""The inference engine as detectors see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Tensor: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a graph."""

    name: str
    shape: tuple[int | None, ...]
    """None where the graph leaves a dimension open."""
    dtype: str
    """NumPy name: "float32", "uint8", …"""


class Graph(Protocol):
    """A loaded graph. Any thread may run it; on a CPU runs wait for each other."""

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """In graph order."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """In graph order."""

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Run once. The returned arrays belong to the caller (the engine never overwrites them later).

        Raises:
            EngineError: wrong name, shape or dtype, or the engine failed.
        """


class Engine(Protocol):
    """A runtime for ONNX graphs, with its threads and precision already chosen."""

    @property
    def name(self) -> str:
        """One of "onnxruntime", "openvino", "sim"."""

    @property
    def description(self) -> str:
        """Version, device or provider, precision and threads: written beside every figure."""

    def load(self, model: bytes) -> Graph:
        """Load an ONNX graph from memory; OpenVINO also takes its own IR in one piece (`engine.ir`).

        Raises:
            EngineError: the graph cannot be loaded here; says why and what to do.
        """
