"""A memory bank to measure with, and the nearest-neighbour graph that bundles with a small one hold it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_convert.graphs import DISTANCES, PATCHES
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_IR_VERSION: Final = 8
_OPSET: Final = 17


@dataclass(frozen=True, slots=True)
class SearchBank:
    """The memory bank as matrix products take it.

    d² = |x − b|² is computed as |x|² + |b|² − 2·x·b, about an origin amid the bank: distances do not change with a
    shift of the origin, and the closer it lies to the data the fewer digits cancel.
    """

    origin: Floats
    """C."""
    columns: Floats
    """C×M: −2 (b − origin) of every patch b."""
    norms: Floats
    """M: |b − origin|²."""

    @property
    def size(self) -> int:
        """Patches in the bank."""
        return int(self.columns.shape[1])

    @property
    def channels(self) -> int:
        """Features of a patch."""
        return int(self.columns.shape[0])

    @property
    def rows(self) -> Floats:
        """M×C: the patches, to the rounding of a float32 sum."""
        return np.ascontiguousarray(self.columns.T) / np.float32(-2) + self.origin

    def grown(self, rows: Floats) -> SearchBank:
        """With more patches (N×C): the origin and all numbers of the present ones stay, bit for bit.

        Distances therefore can only fall, whatever is added.
        """
        columns, norms = _columns(rows, self.origin)
        return SearchBank(
            self.origin, np.concatenate([self.columns, columns], axis=1), np.concatenate([self.norms, norms])
        )

    def distances(self, rows: Floats) -> Floats:
        """Distance of each row (N×C) to the nearest patch, by the graph's own arithmetic."""
        centred = rows - self.origin
        squared = (centred @ self.columns + self.norms).min(axis=1) + np.square(centred).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(squared, 0)), dtype=np.float32)

    def graph(self, patches: int) -> bytes:
        """`patches` P×C → `distances` P, Euclidean distance to the nearest of the bank."""
        constants = {
            "origin": self.origin,
            "bank": self.columns,
            "bank_norms": self.norms,
            "zero": np.zeros((), dtype=np.float32),
        }
        nodes = [
            helper.make_node("Sub", [PATCHES, "origin"], ["centred"]),
            helper.make_node("Gemm", ["centred", "bank", "bank_norms"], ["products"]),
            helper.make_node("ReduceMin", ["products"], ["nearest"], axes=[1], keepdims=0),
            helper.make_node("ReduceSumSquare", ["centred"], ["patch_norms"], axes=[1], keepdims=0),
            helper.make_node("Add", ["nearest", "patch_norms"], ["squared"]),
            helper.make_node("Max", ["squared", "zero"], ["not_negative"]),
            helper.make_node("Sqrt", ["not_negative"], [DISTANCES]),
        ]
        graph = helper.make_graph(
            nodes,
            "patchcore_search",
            [helper.make_tensor_value_info(PATCHES, TensorProto.FLOAT, [patches, self.channels])],
            [helper.make_tensor_value_info(DISTANCES, TensorProto.FLOAT, [patches])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="edge-convert")
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def bank_of(rows: Floats) -> SearchBank:
    """The bank of these patches (M×C)."""
    origin = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return SearchBank(origin, *_columns(rows, origin))


def read_bank(search: bytes) -> SearchBank:
    """The bank inside a search graph that `SearchBank.graph` made: exactly the numbers that it computes with.

    Raises:
        BundleError: another graph.
    """
    try:
        found = {entry.name: numpy_helper.to_array(entry) for entry in _initializers(search)}
        bank = SearchBank(found["origin"], found["bank"], found["bank_norms"])
        sound = bank.columns.shape == (*bank.origin.shape, *bank.norms.shape)
    except Exception as error:  # protobuf's own, KeyError, ValueError: whatever is no such graph
        raise _foreign() from error
    if not sound or any(part.dtype != np.float32 for part in (bank.origin, bank.columns, bank.norms)):
        raise _foreign()
    return bank


def _columns(rows: Floats, origin: Floats) -> tuple[Floats, Floats]:
    shifted = rows.astype(np.float64) - origin
    return (-2 * shifted.T).astype(np.float32), np.square(shifted).sum(axis=1).astype(np.float32)


def _initializers(search: bytes) -> Any:
    return onnx.load_model_from_string(search).graph.initializer


def _foreign() -> BundleError:
    return BundleError(
        "the search graph of this bundle holds no memory bank that edge-convert made",
        "Teach the bundle again with `edge-convert teach`.",
    )
