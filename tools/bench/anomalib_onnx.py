"""anomalib's ONNX export on onnxruntime, with the pre-processing of anomalib's own inferencer, as a worker.

    ANOMALIB-ENV/bin/python tools/bench/anomalib_onnx.py model.onnx

anomalib ships no inferencer for onnxruntime; this is its OpenVINO inferencer with the session exchanged, with default
session options.
"""

from __future__ import annotations

import argparse
import sys
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
    options = parser.parse_args()
    started = time.monotonic()
    import anomalib  # noqa: PLC0415  (part of loading)
    import onnxruntime  # noqa: PLC0415  (likewise)
    from anomalib.data.utils import read_image  # noqa: PLC0415  (likewise)
    from anomalib.deploy import OpenVINOInferencer  # noqa: PLC0415  (likewise)

    session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    name, outputs = session.get_inputs()[0].name, [item.name for item in session.get_outputs()]

    def look(frame: Any) -> float:
        pixels = read_image(frame, as_tensor=False) if isinstance(frame, Path) else frame
        found = session.run(outputs, {name: OpenVINOInferencer.pre_process(pixels)})
        return float(dict(zip(outputs, found, strict=True))["pred_score"].reshape(()))

    detail = f"anomalib {anomalib.__version__}, onnxruntime {onnxruntime.__version__}, f32"
    serve("anomalib ONNX export on onnxruntime", detail, time.monotonic() - started, look)


if __name__ == "__main__":
    main()
