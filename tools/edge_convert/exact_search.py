"""The payloads of an exact search: a memory bank, its lattice, and the INT8 graphs that suggest rows of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_convert.standing import neighbours_of, standing_first
from edge_runtime.detectors.search_lattice import BANK_CODES, PATCH_CODES, BankErrors, Lattice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

ROLES: Final = {
    "bank": "bank.npy",
    "origin": "origin.npy",
    "coarse": "coarse.onnx",
    "around": "around.npy",
    "whole": "whole.onnx",
    "neighbours": "neighbours.npy",
}
"""Role in the bundle → payload."""

_IR_VERSION: Final = 8
_OPSET: Final = 17
_PRODUCTS: Final = 1 << 18
"""Pairs of a patch and a row per call: about half a millisecond with AVX-512 VNNI on two cores, and 1 MB of results."""
_MEETING: Final = 64
"""Patches that meet the whole bank at once, at most: of a small bank few need to, and each costs its errors."""
_COARSE_PER_ROOT: Final = 4.0
"""Rows that stand for all: 4 √M, 512 of 16,384."""
_WIDE: Final = 128
"""Channels from which the rows that stand for all are compared in their principal directions, not in all channels."""
_DIRECTIONS: Final = 32
_NO_SPREAD: Final = 1e-12
"""Of the largest spread: below it rounding alone makes a direction."""
_AROUND_FROM: Final = 4_096
"""A smaller bank is met as a whole as fast as a patch tries some rows."""
_AROUND: Final = 64
_REACH: Final = (1e-12, 1e16)
"""Products of steps outside leave float32. What lies beyond is clipped, and then always measured exactly."""
_CLIPPED: Final = (1.0, 0.99999, 0.9999, 0.999)
"""Quantiles of |value − origin| that the last code may stand for: a narrow lattice is finer and clips more."""


@dataclass(frozen=True, slots=True)
class SearchPayloads:
    """What a bundle carries to be searched."""

    graphs: Mapping[str, str]
    """Role → payload name."""
    payloads: Mapping[str, bytes]
    parameters: Mapping[str, float]
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Role → output of a graph, where a role needs one."""


def build_search(rows: Floats, patches: int, neighbours: int = 0) -> SearchPayloads:
    """The search of a bank (M×C float32, finite) for P patches at a time.

    The rows are put into another order: first those that stand for all. Equal rows give equal payloads.

    Args:
        rows: the bank.
        patches: P.
        neighbours: of each row, for the reweighting of the score; below 2: none.
    """
    count = len(rows)
    coarse = max(1, min(count, round(_COARSE_PER_ROOT * count**0.5)))
    ordered = np.ascontiguousarray(rows[standing_first(rows, coarse)], dtype=np.float32)
    lattice = lattice_of(ordered)
    payloads = {
        "bank": _npy(ordered),
        "origin": _npy(lattice.origin),
        "coarse": coarse_graph(ordered[:coarse], lattice, patches),
        "whole": screen_graph(ordered, lattice, min(patches, _MEETING, max(1, _PRODUCTS // count))),
    }
    if count >= _AROUND_FROM:
        payloads["around"] = _npy(neighbours_of(ordered, coarse, _AROUND + 1)[:, 1:])
    if neighbours > 1:
        payloads["neighbours"] = _npy(neighbours_of(ordered, count, min(neighbours, count)))
    return SearchPayloads(
        {role: ROLES[role] for role in ROLES if role in payloads},
        {ROLES[role]: payloads[role] for role in ROLES if role in payloads},
        {"patch_step": lattice.patch_step, "bank_step": lattice.bank_step},
    )


def read_rows(bank: bytes) -> Floats:
    """The rows of a bundle's `bank`."""
    return np.asarray(np.load(io.BytesIO(bank), allow_pickle=False), dtype=np.float32)


def lattice_of(rows: Floats) -> Lattice:
    """The lattice that errs least on these rows, on average."""
    origin = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    sizes = np.abs(rows - origin)
    best: tuple[float, Lattice] | None = None
    for share in _CLIPPED:
        reach = min(max(float(np.quantile(sizes, share)), _REACH[0]), _REACH[1])
        lattice = Lattice(origin, reach / PATCH_CODES[1], reach / BANK_CODES[1])
        # A patch errs about twice as much as a row, for its codes have a bit less.
        error = float(BankErrors.of(rows, lattice).errors.mean()) + _patch_error(rows, lattice)
        if best is None or error < best[0]:
            best = error, lattice
    if best is None:
        raise AssertionError  # there is a first share
    return best[1]


def _patch_error(rows: Floats, lattice: Lattice) -> float:
    lost = rows - lattice.origin - lattice.patch_codes(rows) * np.float32(lattice.patch_step)
    return float(np.sqrt(np.square(lost).sum(axis=1)).mean())


def screen_graph(rows: Floats, lattice: Lattice, batch: int) -> bytes:
    """`codes` batch×C float32, whole numbers → `screened` batch×M: |b̂|² − 2 x̂·b̂."""
    return _graph([], "codes", np.float32(1.0), rows, lattice, batch)


def coarse_graph(rows: Floats, lattice: Lattice, patches: int) -> bytes:
    """`patches` P×C as the network gives them → `screened` P×M, rounded by the engine: nothing is proved by it.

    Wide patches are compared in the few directions in which the rows differ most: whom that suggests is hardly ever
    farther, and costs a fraction.
    """
    if rows.shape[1] >= _WIDE and (constants := _directions(rows)) is not None:
        return _projected_graph(constants, patches, rows.shape)
    shift = helper.make_node("Sub", ["patches", "origin"], ["centred"])
    return _graph([shift], "patches", np.float32(lattice.patch_step), rows, lattice, patches)


def _directions(rows: Floats) -> dict[str, Floats] | None:
    """The rows in their principal directions, as the projected graph has them; None where float32 cannot say it."""
    wide = rows.astype(np.float64)
    middle = wide.mean(axis=0)
    centred = wide - middle
    spreads, mixes = np.linalg.eigh(centred @ centred.T)
    if not spreads[-1] > 0:
        return None
    kept = [at for at in range(-1, -min(_DIRECTIONS, len(rows)) - 1, -1) if spreads[at] > _NO_SPREAD * spreads[-1]]
    axes = centred.T @ (mixes[:, kept] / np.sqrt(spreads[kept]))
    places = centred @ axes
    with np.errstate(over="ignore"):
        constants = {
            "axes": axes.astype(np.float32),
            "rows": np.ascontiguousarray(2 * places.T).astype(np.float32),
            # |z − row|² less |z|², z being the patch's place, less the middle's: the shift costs no pass over patches.
            "norms": (np.square(places).sum(axis=1) + 2 * places @ (middle @ axes)).astype(np.float32),
        }
    return constants if all(np.isfinite(values).all() for values in constants.values()) else None


def _projected_graph(constants: Mapping[str, Floats], patches: int, shape: tuple[int, ...]) -> bytes:
    nodes = [
        helper.make_node("MatMul", ["patches", "axes"], ["places"]),
        helper.make_node("MatMul", ["places", "rows"], ["products"]),
        helper.make_node("Sub", ["norms", "products"], ["screened"]),
    ]
    return _model(nodes, constants, ("patches", [patches, shape[1]]), [patches, shape[0]])


def _graph(before: list[Any], given: str, step: np.float32, rows: Floats, lattice: Lattice, batch: int) -> bytes:
    """QDQ form: both engines turn it into one INT8 product and one subtraction.

    The subtraction must not be an addition: onnxruntime would make a Gemm of product and sum, in float32.
    """
    codes = lattice.bank_codes(rows).astype(np.int8)
    constants = {
        "step": step,
        "zero_code": np.array(-PATCH_CODES[0], dtype=np.uint8),
        "bank": np.ascontiguousarray(codes.T),
        "bank_step": np.float32(lattice.product_scale / step),
        "bank_zero": np.int8(0),
        "norms": BankErrors.of(rows, lattice).norms,
        **({"origin": lattice.origin} if before else {}),
    }
    nodes = [
        *before,
        helper.make_node("QuantizeLinear", ["centred" if before else given, "step", "zero_code"], ["coded"]),
        helper.make_node("DequantizeLinear", ["coded", "step", "zero_code"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["bank", "bank_step", "bank_zero"], ["bank_rounded"]),
        helper.make_node("MatMul", ["rounded", "bank_rounded"], ["products"]),
        helper.make_node("Sub", ["norms", "products"], ["screened"]),
    ]
    return _model(nodes, constants, (given, [batch, rows.shape[1]]), [batch, len(rows)])


def _model(nodes: list[Any], constants: Mapping[str, Any], given: tuple[str, list[int]], found: list[int]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "patchcore_screen",
        [helper.make_tensor_value_info(given[0], TensorProto.FLOAT, given[1])],
        [helper.make_tensor_value_info("screened", TensorProto.FLOAT, found)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="edge-convert")
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _npy(values: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values.astype(values.dtype.newbyteorder("<")), version=(1, 0), allow_pickle=False)
    return stream.getvalue()
