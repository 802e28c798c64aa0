"""anomalib's `OpenVINOInferencer`, as its documentation says to use it, as a worker.

    ANOMALIB-ENV/bin/python tools/bench/anomalib_openvino.py model.xml
    ANOMALIB-ENV/bin/python tools/bench/anomalib_openvino.py model.xml --precision f32

Without `--precision` nothing is configured: what the library does by itself (bf16 where the processor has it).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it reports the import over the network
sys.path.insert(0, str(Path(__file__).resolve().parent))

from worker import serve  # noqa: E402


def main() -> None:
    """Serve one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--precision", choices=("f32", "bf16"), help="INFERENCE_PRECISION_HINT")
    options = parser.parse_args()
    model = options.model.resolve()
    os.chdir(tempfile.mkdtemp(prefix="anomalib-"))  # it puts its cache where it stands
    started = time.monotonic()
    import anomalib  # noqa: PLC0415  (part of loading)
    import openvino  # noqa: PLC0415  (likewise)
    from anomalib.deploy import OpenVINOInferencer  # noqa: PLC0415  (likewise)

    if options.precision is None:
        inferencer = OpenVINOInferencer(model)
    else:  # its default device, AUTO, does not know the setting
        inferencer = OpenVINOInferencer(model, device="CPU", config={"INFERENCE_PRECISION_HINT": options.precision})

    def look(frame: Any) -> float:
        return float(inferencer.predict(frame).pred_score.reshape(()))

    used = options.precision or "its default precision"
    detail = f"anomalib {anomalib.__version__}, openvino {openvino.__version__.split('-')[0]}, {used}"
    name = "anomalib OpenVINOInferencer" + (f" {options.precision}" if options.precision else "")
    serve(name, detail, time.monotonic() - started, look)


if __name__ == "__main__":
    main()
