"""What a way of quantizing gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edge_convert.precision.choice import Route  # noqa: TC001  (read at run time by nobody, but a part of the port)

if TYPE_CHECKING:
    from edge_convert.convert.source import SourceModel


@dataclass(frozen=True, slots=True)
class FloatGraph:
    """A float32 graph with what a quantizer must know of it."""

    model: Any
    """`onnx.ModelProto`; every node has a name of its own."""
    input_name: str
    outputs: tuple[str, ...]
    """Those that the detector reads; a graph may have more."""
    keep_float: frozenset[str] = frozenset()
    """Nodes that nobody may quantize."""


class Quantizer(Protocol):
    """Turns one float graph into INT8, as often as asked, each time with other nodes left alone."""

    @property
    def route(self) -> Route:
        """Who quantizes."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Nodes that it would quantize, in the graph's order."""

    def quantize(self, kept: frozenset[str]) -> bytes:
        """The INT8 graph in QDQ form; the nodes `kept`, and those that must not be, stay in float32. Deterministic."""


def float_graph(source: SourceModel) -> FloatGraph:
    """The part of a source model that quantization is about."""
    return FloatGraph(source.model, source.input_spec.tensor, tuple(source.outputs.values()), source.keep_float)
