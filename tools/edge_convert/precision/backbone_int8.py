"""INT8: static quantization of the backbone inside a features graph."""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from edge_convert.graphs import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from edge_convert.graphs import FeatureGraph


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """One prepared image at a time: none is kept."""

    def __init__(self, images: Iterator[npt.NDArray[np.uint8]]) -> None:
        self._images = images

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {IMAGE: image}


def quantize(graph: FeatureGraph, images: Iterator[npt.NDArray[np.uint8]]) -> bytes:
    """Quantize the backbone's nodes to U8 activations and S8 per-channel weights, in QDQ form.

    U8S8 is the one form that is fast in both runtimes. Ranges are the plain minimum and maximum over all calibration
    images: the library reduces every tensor inside the graph, so that an image leaves two numbers per tensor behind and
    memory does not grow with their count.

    Args:
        graph: the float32 features graph.
        images: prepared images 1×H×W×3 uint8, good ones and ones with synthetic defects; consumed one by one.
    """
    outside = [node.name for node in graph.model.graph.node if node.name not in set(graph.backbone_nodes)]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # the library advises on the root logger
        try:
            quantize_static(
                copy.deepcopy(graph.model),  # the library moves the weights out of the model that it is given
                target,
                _Reader(images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=outside,
                calibrate_method=CalibrationMethod.MinMax,
                calibration_providers=["CPUExecutionProvider"],
            )
        finally:
            root.setLevel(level)
        return target.read_bytes()
