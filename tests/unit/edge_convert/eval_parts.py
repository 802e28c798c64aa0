"""A small real bundle and real image folders for the tests of `edge-convert eval`.

The model is an ONNX graph whose anomaly map is the grey image and whose score is its brightest pixel (0…1), so every
expected figure can be worked out by hand; engine, detector, bundle file and decoder are the product's own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_convert.evaluate.assemble import evaluate
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.result import Conditions
from edge_runtime import detectors
from edge_runtime import engine as engines
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.selftest import GoldenResult
from edge_runtime.bundles.writer import BundleDraft, write_bundle
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
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from edge_convert.evaluate.result import Evaluation
    from edge_runtime.detectors.port import Detector

SIDE_PX = 32
ENGINE = EngineSettings(name="onnxruntime", threads=1)
CONDITIONS = Conditions("onnxruntime, 1 thread", 1, 0.3)
LIMITS = Limits(review=100.5 / 255, reject=200.5 / 255)


def grey(level: int, spot: int | None = None, side_px: int = SIDE_PX) -> npt.NDArray[np.uint8]:
    """An even image; with a brighter square of an eighth of its side in the middle of the upper left quarter."""
    picture = np.full((side_px, side_px), level, np.uint8)
    if spot is not None:
        picture[spot_mask(side_px)] = spot
    return picture


def spot_mask(side_px: int = SIDE_PX) -> npt.NDArray[np.bool_]:
    """Where `grey` puts its spot."""
    mask = np.zeros((side_px, side_px), np.bool_)
    mask[side_px // 8 : side_px // 4, side_px // 8 : side_px // 4] = True
    return mask


def save(path: Path, picture: npt.NDArray[np.uint8]) -> Path:
    """Write a PNG, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(picture))
    return path


def save_mask(path: Path, mask: npt.NDArray[np.bool_]) -> Path:
    """Write a mask as 0 and 255."""
    return save(path, np.where(mask, np.uint8(255), np.uint8(0)))


def mvtec_set(root: Path) -> Path:
    """Two good parts, two spots with masks, one dark scratch without: the scratch passes, a good part is in review.

    Scores (grey levels): good 50 and 120, spot 180 and 250, scratch 60.
    """
    for name, level in (("a", 50), ("b", 120)):
        save(root / "test" / "good" / f"{name}.png", grey(level))
    for name, spot in (("a", 180), ("b", 250)):
        save(root / "test" / "spot" / f"{name}.png", grey(40, spot))
        save_mask(root / "ground_truth" / "spot" / f"{name}_mask.png", spot_mask())
    save(root / "test" / "scratch" / "a.png", grey(40, 60))
    save(root / "train" / "good" / "t.png", grey(51))
    return root


def brightness_bundle(
    path: Path,
    *,
    with_map: bool = True,
    golden_score: float = 90 / 255,
    region: tuple[int, int, int, int] | None = None,
) -> Path:
    """Write the bundle: generic detector, limits 100.5 and 200.5 grey levels, one golden image of level 90."""
    golden = encode_png(grey(90))
    outputs = {"score": "score"} | ({"anomaly_map": "map"} if with_map else {})
    draft = BundleDraft(
        name="brightness",
        version="0.1.0",
        created="2026-01-01T00:00:00Z",
        kind=DetectorKind.GENERIC,
        input_spec=InputSpec(
            tensor="x",
            height_px=SIDE_PX,
            width_px=SIDE_PX,
            resize=Resize.AREA,
            colour=ColourOrder.MONO,
            layout=Layout.NCHW,
            dtype="float32",
            mean=(0.0,),
            std=(1.0,),
            region=region,
        ),
        graphs={"model": "model.onnx"},
        outputs=outputs,
        parameters={},
        calibration=Calibration(LIMITS, (0.1, 0.2), 0.01, (0.0, 1.0), ("Only 2 <held-out> good images.",)),
        golden=(GoldenImage("golden.png", golden_score, 1e-5, "PASS"),),
    )
    write_bundle(path, draft, {"model.onnx": _graph(), "golden.png": golden})
    return path


def _graph() -> bytes:
    shape = [1, 1, SIDE_PX, SIDE_PX]
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["x"], ["map"]),
            helper.make_node("ReduceMax", ["x"], ["score"], keepdims=0),
        ],
        "brightness",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, []),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def damaged_jpeg() -> bytes:
    """A photograph whose transfer was cut."""
    _, encoded = cv2.imencode(".jpg", grey(90, 200))
    return bytes(encoded.tobytes()[:-40])


@contextmanager
def detector_of(bundle: Path) -> Iterator[Detector]:
    """The bundle's own detector on onnxruntime with one thread."""
    with open_bundle(bundle, trust="development") as opened:
        yield detectors.create(opened.manifest, opened.payloads, engines.create(ENGINE))


def evaluation_of(bundle: Path, dataset: Path, limit: int | None = None) -> Evaluation:
    """A whole evaluation on a clock that stands still."""
    with detector_of(bundle) as detector:
        found = open_dataset(dataset, limit)
        golden = (GoldenResult("golden.png", 0.3, 0.3, 0.1, "PASS", "PASS"),)
        return evaluate(detector, golden, found, CONDITIONS, SimulatedClock(), lambda: None)
