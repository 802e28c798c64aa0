from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.sim import SimulatedEngine

IMAGE = {"name": "x", "shape": [1, None, 2], "dtype": "float32"}


def program(*steps: dict[str, Any], output: str) -> bytes:
    """A model with one input `x` and one output."""
    outputs = [{"name": output, "shape": [None], "dtype": "float32"}]
    return json.dumps({"inputs": [IMAGE], "steps": steps, "outputs": outputs}).encode()


def test_steps_build_on_each_other() -> None:
    """Reshape, distance to a bank, maximum: a whole PatchCore search in three steps."""
    model = program(
        {"output": "patches", "operation": "reshape", "input": "x", "shape": [-1, 2]},
        {"output": "distances", "operation": "nearest", "input": "patches", "bank": [[0, 0], [10, 0]]},
        {"output": "peak", "operation": "max", "input": "distances", "axes": [0]},
        output="peak",
    )
    image = np.array([[[3, 4], [10, 1], [0, 0]]], np.float32)
    assert float(SimulatedEngine().load(model).run({"x": image}, ["peak"])["peak"]) == 5.0


def test_mean_is_over_the_named_axes() -> None:
    """All axes if none is named."""
    model = program({"output": "m", "operation": "mean", "input": "x", "axes": [1]}, output="m")
    image = np.array([[[1, 2], [3, 4]]], np.float32)
    np.testing.assert_array_equal(SimulatedEngine().load(model).run({"x": image}, ["m"])["m"], [[2, 3]])


@pytest.mark.parametrize(
    "model",
    [
        program({"output": "m", "operation": "conv", "input": "x"}, output="m"),
        program({"output": "m", "operation": "max", "input": "nowhere"}, output="m"),
        program({"output": "m", "operation": "max", "input": "x"}, output="other"),
        b"[]",
        b"{}",
    ],
    ids=["unknown operation", "unknown input", "output of no step", "no program", "empty program"],
)
def test_a_senseless_program_does_not_load(model: bytes) -> None:
    """Found at loading, with the way to write one."""
    with pytest.raises(EngineError) as caught:
        SimulatedEngine().load(model)
    assert "docstring" in caught.value.action


def test_a_step_that_cannot_run_is_an_engine_error() -> None:
    """The same kind of failure as with a real engine."""
    model = program({"output": "m", "operation": "reshape", "input": "x", "shape": [7, 7]}, output="m")
    with pytest.raises(EngineError, match="failed to run"):
        SimulatedEngine().load(model).run({"x": np.zeros((1, 3, 2), np.float32)}, ["m"])
