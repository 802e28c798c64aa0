from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "program",
    [
        "from edge_runtime.engine.onnxruntime import import_onnxruntime; import_onnxruntime()",
        "import edge_convert.precision.ranges",
    ],
)
def test_nothing_about_this_device_is_collected(tmp_path, program: str) -> None:
    """Loading the engine writes no number of the device and no database of events into the user's home."""
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"HOME": str(tmp_path)}, check=True, timeout=60)
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []
