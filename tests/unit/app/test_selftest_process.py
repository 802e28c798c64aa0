"""The self-test in a process of its own: right scores pass; whatever goes wrong ends in words, in time, and alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bundle_parts import make_draft
from line_process import wait_until
from onnx import TensorProto, helper
from station_parts import make_bench
from update_rig import memory_folder

from edge_runtime.app.selftest_process import ProofLimits, run_proof
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    GoldenImage,
    InputSpec,
    Layout,
    Resize,
)
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINE = EngineSettings(name="onnxruntime", threads=1)
LIMITS = ProofLimits(timeout_s=60, memory_mb=4_096)
SIDE_PX = 8
GREY = 40


def _graph(nodes: list[Any]) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT), *nodes],
        "model",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [])],
        [
            helper.make_tensor("wide", TensorProto.INT64, [4], [1, 1, 4_096, 4_096]),
            helper.make_tensor("often", TensorProto.INT64, [], [2**40]),
            helper.make_tensor("go", TensorProto.BOOL, [], [True]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def _mean() -> bytes:
    return _graph([helper.make_node("ReduceMean", ["grey"], ["score"], keepdims=0)])


def _hungry() -> bytes:
    """32,768 × 32,768 numbers: 4 GB."""
    return _graph(
        [
            helper.make_node("Tile", ["grey", "wide"], ["large"]),
            helper.make_node("ReduceMean", ["large"], ["score"], keepdims=0),
        ]
    )


def _endless() -> bytes:
    """Counts to 2**40."""
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["before"], ["after"]),
            helper.make_node("Identity", ["on"], ["still"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, []),
        ],
    )
    return _graph(
        [
            helper.make_node("ReduceMean", ["grey"], ["mean"], keepdims=0),
            helper.make_node("Loop", ["often", "go", "mean"], ["score"], body=step),
        ]
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, str]]:
    """Makes a stored release of a model: its file and digest."""
    bench = make_bench(tmp_path_factory.mktemp("station"))
    made: list[int] = []

    def make(model: bytes, score: float = GREY) -> tuple[Path, str]:
        made.append(1)
        picture = encode_png(np.full((SIDE_PX, SIDE_PX), GREY, np.uint8))
        draft = make_draft(
            version=f"{len(made)}.0",
            kind=DetectorKind.GENERIC,
            input_spec=InputSpec("image", SIDE_PX, SIDE_PX, Resize.NONE, ColourOrder.MONO, Layout.NCHW, "uint8"),
            graphs={"model": "model.onnx"},
            outputs={"score": "score"},
            parameters={},
            calibration=Calibration(Limits(100.0, 180.0), (50.0, 60.0), 0.01, (0.0, 255.0), ()),
            golden=(GoldenImage("golden.png", score, 0.5, "PASS"),),
        )
        released = bench.release(draft=draft, payloads={"model.onnx": model, "golden.png": picture})
        return bench.export(name=f"{len(made)}.bundle"), released.digest

    return make


def test_right_scores_pass(stored) -> None:
    """And it says on which engine."""
    proof = run_proof(*stored(_mean()), ENGINE, LIMITS)
    assert proof.passed
    assert "1 golden images reproduced (onnxruntime" in proof.summary


def test_wrong_scores_fail(stored) -> None:
    """With the score that came and the one that was expected."""
    proof = run_proof(*stored(_mean(), score=70.0), ENGINE, LIMITS)
    assert not proof.passed
    assert "score 40, expected 70" in proof.summary


def test_a_model_that_hangs_is_ended(stored) -> None:
    """Its whole process group, when the time is over."""
    proof = run_proof(*stored(_endless()), ENGINE, replace(LIMITS, timeout_s=4))
    assert (proof.passed, proof.summary) == (False, "it did not end within 4 s")


def test_a_model_that_eats_the_memory_fails_alone(stored) -> None:
    """The limit is the process's own; nothing else is short of memory for it."""
    proof = run_proof(*stored(_hungry()), ENGINE, replace(LIMITS, memory_mb=1_024))
    assert not proof.passed
    assert "alloc" in proof.summary or "memory" in proof.summary


def test_a_graph_that_is_none_fails(stored) -> None:
    """The engine's words."""
    proof = run_proof(*stored(b"no graph"), ENGINE, LIMITS)
    assert not proof.passed
    assert "model.onnx" in proof.summary or "load" in proof.summary


def test_a_damaged_file_fails(stored, tmp_path: Path) -> None:
    """It is hashed again in there."""
    path, digest = stored(_mean())
    content = bytearray(path.read_bytes())
    content[-3_000] ^= 1
    (tmp_path / "bundle").write_bytes(content)
    assert not run_proof(tmp_path / "bundle", digest, ENGINE, LIMITS).passed


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have something to give up")
def test_as_root_it_becomes_the_owner_of_the_store(stored) -> None:
    """What that user may not read, the self-test cannot read either."""
    path, digest = stored(_mean())
    with memory_folder() as folder:
        folder.chmod(0o755)
        copy = folder / "bundle"
        copy.write_bytes(path.read_bytes())
        os.chown(copy, 65_534, 65_534)
        copy.chmod(0o600)
        assert run_proof(copy, digest, ENGINE, LIMITS).passed
        copy.chmod(0o000)
        assert "Permission denied" in run_proof(copy, digest, ENGINE, LIMITS).summary


def test_it_does_not_outlive_an_installation_that_is_killed(stored, tmp_path: Path) -> None:
    """SIGKILL of the installer in the middle of a self-test ends the self-test too."""
    path, digest = stored(_endless())
    script = (
        "import sys; from pathlib import Path\n"
        "from edge_runtime.app.selftest_process import ProofLimits, run_proof\n"
        "from edge_runtime.config.engine import EngineSettings\n"
        "engine = EngineSettings(name='onnxruntime', threads=1)\n"
        "run_proof(Path(sys.argv[1]), sys.argv[2], engine, ProofLimits(60, 4096))"
    )
    installer = subprocess.Popen([sys.executable, "-c", script, str(path), digest])
    try:
        wait_until(lambda: _has_begun(installer.pid), "the self-test has begun", 30)
        (child,) = _children(installer.pid)
    finally:
        installer.send_signal(signal.SIGKILL)
        installer.wait()
    wait_until(lambda: not Path(f"/proc/{child}/exe").exists(), "the self-test has ended")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _has_begun(pid: int) -> bool:
    """The child has given itself its limits."""
    return any(
        "Max data size             4294967296" in Path(f"/proc/{child}/limits").read_text() for child in _children(pid)
    )
