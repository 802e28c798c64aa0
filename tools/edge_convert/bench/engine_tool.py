"""OpenVINO's own `benchmark_app` on the very graphs of a bundle: what else an inspection spends shows beside it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final, get_args

from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.ir import is_ir, unpack_ir

if TYPE_CHECKING:
    from pathlib import Path

LOADING_S: Final = 120
"""So much longer than twice its measurement the tool may take."""
_MEDIAN: Final = re.compile(r"Median:\s+([0-9.]+) (ms|us)")
_PRECISIONS: Final = frozenset(get_args(EngineSettings.model_fields["precision"].annotation))
# The tool reports its use over the network wherever OpenVINO's telemetry is installed; see engine/openvino.py.
_START: Final = (
    "import sys; sys.modules['openvino_telemetry'] = None; from openvino.tools.benchmark.main import main; main()"
)


def is_available() -> bool:
    """Whether OpenVINO and its tool are installed."""
    return (
        importlib.util.find_spec("openvino") is not None
        and importlib.util.find_spec("openvino.tools.benchmark") is not None
    )


def median_ms(model: bytes, threads: int, precision: str, seconds: int, folder: Path) -> float:
    """Median latency of one graph, one request at a time, as the tool itself measures it.

    Args:
        model: ONNX, or OpenVINO's IR in one piece.
        threads: as the inspection uses.
        precision: that the inspection computes in, as in `engine.precision`.
        seconds: how long it runs.
        folder: for the graph's file.

    Raises:
        EngineError: the tool failed.
    """
    options = ["-d", "CPU", "-api", "sync", "-hint", "none", "-nstreams", "1", "-nthreads", str(threads)]
    options += ["-infer_precision", f"CPU:{precision}", "-t", str(seconds)]
    command = [sys.executable, "-c", _START, "-m", str(_written(model, folder)), *options]
    try:
        ended = subprocess.run(  # noqa: S603  (our own interpreter; nothing of it comes from outside)
            command, capture_output=True, text=True, timeout=LOADING_S + 2 * seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"it did not end within {error.timeout:.0f} s") from error
    found = stated_median_ms(ended.stdout)
    if found is None:
        raise _failed((ended.stderr or ended.stdout).strip()[-400:])
    return found


def _failed(why: str) -> EngineError:
    return EngineError(f"benchmark_app failed: {why}", "Leave it out with --no-engine-tool.")


def stated_precision(description: str) -> str:
    """Of what an engine says of itself: a bundle may have chosen another precision than the settings'."""
    return next(word for word in description.split(", ") if word in _PRECISIONS)


def stated_median_ms(output: str) -> float | None:
    """What the tool says: in microseconds where that is less than a millisecond. None: it does not say."""
    found = _MEDIAN.search(output)
    return None if found is None else float(found[1]) * {"ms": 1.0, "us": 1e-3}[found[2]]


def _written(model: bytes, folder: Path) -> Path:
    if not is_ir(model):
        file = folder / "graph.onnx"
        file.write_bytes(model)
        return file
    xml, weights = unpack_ir(model)
    (folder / "graph.bin").write_bytes(weights)
    file = folder / "graph.xml"
    file.write_bytes(xml)
    return file
