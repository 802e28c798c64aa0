"""The engine's twin: tiny graphs in plain NumPy, for tests without any runtime.

Its "model" is JSON, because nothing here shall parse ONNX:

    {"inputs": [{"name": "x", "shape": [1, null], "dtype": "float32"}],
     "steps": [{"output": "y", "operation": "affine", "input": "x", "factor": 2.0, "offset": 1.0}],
     "outputs": [{"name": "y", "shape": [1, null], "dtype": "float32"}]}

Operations: `affine` (input · factor + offset), `mean` and `max` (over `axes`; all if absent), `reshape` (to `shape`),
`nearest` (rows of [P, C] → Euclidean distance to the nearest row of `bank`, [P]). Steps may use the results of
earlier ones.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.feeds import check_request
from edge_runtime.engine.port import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge_runtime.engine.port import Tensor

_ACTION = "write the model as the docstring of edge_runtime.engine.sim says"


def _axes(step: Mapping[str, Any]) -> tuple[int, ...] | None:
    axes = step.get("axes")
    return None if axes is None else tuple(axes)


def _affine(values: Tensor, step: Mapping[str, Any]) -> Tensor:
    return values.astype(np.float32) * np.float32(step.get("factor", 1.0)) + np.float32(step.get("offset", 0.0))


def _mean(values: Tensor, step: Mapping[str, Any]) -> Tensor:
    return np.asarray(np.mean(values, axis=_axes(step), dtype=np.float32))


def _max(values: Tensor, step: Mapping[str, Any]) -> Tensor:
    return np.asarray(np.max(values, axis=_axes(step)))


def _reshape(values: Tensor, step: Mapping[str, Any]) -> Tensor:
    return values.reshape(step["shape"])


def _nearest(values: Tensor, step: Mapping[str, Any]) -> Tensor:
    bank = np.asarray(step["bank"], dtype=np.float32)
    return np.asarray(np.linalg.norm(values[:, np.newaxis, :] - bank[np.newaxis, :, :], axis=2).min(axis=1))


_OPERATIONS: Mapping[str, Callable[[Tensor, Mapping[str, Any]], Tensor]] = {
    "affine": _affine,
    "mean": _mean,
    "max": _max,
    "reshape": _reshape,
    "nearest": _nearest,
}


class SimulatedEngine:
    """Deterministic, single-threaded."""

    @property
    def name(self) -> str:
        """See the port."""
        return "sim"

    @property
    def description(self) -> str:
        """See the port."""
        return "sim, f32, 1 thread(s)"

    def load(self, model: bytes) -> SimulatedGraph:
        """See the port."""
        try:
            return SimulatedGraph(json.loads(model))
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"the simulated engine cannot load the graph: {error!r}", _ACTION) from error


class SimulatedGraph:
    """One program."""

    def __init__(self, program: Mapping[str, Any]) -> None:
        self._inputs = tuple(_info(item) for item in program["inputs"])
        self._outputs = tuple(_info(item) for item in program["outputs"])
        self._steps = tuple((step["output"], step["input"], step["operation"], step) for step in program["steps"])
        known = {info.name for info in self._inputs}
        for output, source, operation, _ in self._steps:
            if source not in known or operation not in _OPERATIONS:
                message = f"step {output!r}: unknown input {source!r} or operation {operation!r}"
                raise ValueError(message)
            known.add(output)
        if missing := [info.name for info in self._outputs if info.name not in known]:
            message = f"no step gives the outputs {missing}"
            raise ValueError(message)

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._outputs

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See the port."""
        check_request(feeds, outputs, self._inputs, self._outputs)
        values: dict[str, Tensor] = dict(feeds)
        try:
            for output, source, operation, step in self._steps:
                values[output] = _OPERATIONS[operation](values[source], step)
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"the simulated engine failed to run the graph: {error!r}", _ACTION) from error
        return {name: np.array(values[name]) for name in outputs}


def _info(item: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(name=item["name"], shape=tuple(item["shape"]), dtype=item["dtype"])
