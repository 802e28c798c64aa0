"""Graphs that give their input as it should have been."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detector_graphs import SIDE, SPEC, Payloads, manifest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors import create
from edge_runtime.domain.errors import BundleError, EngineError, ImageError
from edge_runtime.domain.model_bundle import ColourOrder, DetectorKind, Layout
from edge_runtime.engine import create as create_engine
from edge_runtime.vision.anomaly_map import smooth
from edge_runtime.vision.cutting import Inspected
from edge_runtime.vision.residual import Criterion, ResidualForm, criterion_value, residual_map

OUTPUTS = {"reconstruction": "drawn"}
RGB = replace(SPEC, scale=1.0)
MONO = replace(RGB, colour=ColourOrder.MONO, mean=(0.0,), std=(1.0,))
CAP = 0.5


@pytest.fixture(params=["onnxruntime", "openvino"])
def engine(request: pytest.FixtureRequest):
    """Both engines."""
    return create_engine(EngineSettings(name=request.param, threads=2))


def capped(shape: list[int], drawn: list[int] | None = None) -> bytes:
    """Image → min(image, 0.5): it cannot draw bright marks. With `drawn` in another shape."""
    nodes = [helper.make_node("Min", ["image", "cap"], ["low"])]
    nodes.append(helper.make_node("Reshape", ["low", "shape"], ["drawn"]))
    weights = {"cap": np.float32(CAP), "shape": np.array(drawn or shape, np.int64)}
    graph = helper.make_graph(
        nodes,
        "capped",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("drawn", TensorProto.FLOAT, drawn or shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def part(level: int = 230) -> np.ndarray:
    """Grey, with one bright mark of 2×2 pixels at (5, 9)."""
    pixels = np.full((SIDE, SIDE, 3), 100, np.uint8)
    pixels[5:7, 9:11] = level
    return pixels


def detector_of(engine, options: dict[str, str], spec=MONO, graph: bytes | None = None, **parameters: float):
    """A detector of the capped graph."""
    channels = 1 if spec.colour is ColourOrder.MONO else 3
    shape = [1, channels, SIDE, SIDE] if spec.layout is Layout.NCHW else [1, SIDE, SIDE, channels]
    bundle = manifest(
        DetectorKind.RECONSTRUCTION, graphs={"model": "m"}, outputs=OUTPUTS, parameters=parameters, spec=spec
    )
    return create(replace(bundle, options=options), Payloads({"m": graph or capped(shape)}), engine)


def known(level: int = 230) -> np.ndarray:
    """The residual of `part`."""
    residual = np.zeros((SIDE, SIDE, 1), np.float32)
    residual[5:7, 9:11] = np.float32(level / 255) - np.float32(CAP)
    return residual


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("form", ResidualForm)
def test_the_score_is_the_criterion_of_the_residual(engine, criterion: Criterion, form: ResidualForm) -> None:
    """Times the sign, which is −1 only for the minimum of a signed residual; the map is the absolute residual."""
    detection = detector_of(engine, {"criterion": criterion.value, "residual": form.value}).inspect((part(),))
    low = criterion is Criterion.MINIMUM and form is ResidualForm.SIGNED
    assert detection.score == pytest.approx((-1 if low else 1) * criterion_value(known(), criterion), abs=1e-6)
    assert detection.anomaly_map is not None
    np.testing.assert_allclose(detection.anomaly_map, residual_map(known()), atol=1e-6)
    assert not detection.anomaly_map.flags.writeable


def test_without_options_it_is_the_mean_squared_error(engine) -> None:
    """As most autoencoders are published."""
    detection = detector_of(engine, {}).inspect((part(),))
    assert detection.score == pytest.approx(criterion_value(known(), Criterion.MSE), rel=1e-5)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("colour", [ColourOrder.RGB, ColourOrder.BGR])
def test_colour_channels_count_alike(engine, layout: Layout, colour: ColourOrder) -> None:
    """A mark in one channel raises range and map whatever the layout; the map averages the channels."""
    frame = part(100)
    frame[5, 9, 0] = 255
    spec = replace(RGB, layout=layout, colour=colour)
    detection = detector_of(engine, {"criterion": "range"}, spec).inspect((frame,))
    assert detection.score == pytest.approx(0.5, abs=1e-6)
    assert detection.anomaly_map is not None
    assert detection.anomaly_map[5, 9] == pytest.approx(0.5 / 3, abs=1e-6)
    assert np.count_nonzero(detection.anomaly_map) == 1


def test_smoothing_of_residual_and_map_are_two_things(engine) -> None:
    """The map's Gaussian leaves the score alone, the residual's lowers it."""
    options = {"criterion": "maximum"}
    plain = detector_of(engine, options).inspect((part(),))
    shown = detector_of(engine, options, map_sigma_px=1.5).inspect((part(),))
    soft = detector_of(engine, options, residual_sigma_px=1.5).inspect((part(),))
    assert shown.score == plain.score > 2 * soft.score
    assert shown.anomaly_map is not None
    np.testing.assert_allclose(shown.anomaly_map, smooth(residual_map(known()), 1.5), atol=1e-6)
    assert soft.score == pytest.approx(float(smooth(known()[:, :, 0], 1.5).max()), abs=1e-6)


def test_the_sign_turns_a_low_criterion_into_a_high_score(engine) -> None:
    """Stated in the bundle, it overrules the usual one."""
    high = detector_of(engine, {"criterion": "range"}, criterion_sign=1.0).inspect((part(),))
    low = detector_of(engine, {"criterion": "range"}, criterion_sign=-1.0).inspect((part(),))
    assert low.score == -high.score < 0


def test_a_mask_takes_its_pixels_out_of_the_criterion(engine) -> None:
    """The mark lies outside: the part is as good as without it, and the map is 0 there."""
    mask = np.ones((SIDE, SIDE), np.bool_)
    mask[4:8, 8:12] = False
    detector = detector_of(engine, {"criterion": "range"})
    detection = detector.look(part(), Inspected(mask))
    assert detection.score == pytest.approx(0.0, abs=1e-6)
    assert detection.anomaly_map is not None
    assert not detection.anomaly_map.any()
    assert detector.look(part()).score > 0.4


@pytest.mark.parametrize("criterion", [Criterion.MINIMUM, Criterion.RANGE, Criterion.ENTROPY])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_reconstruction_has_no_score(engine, criterion: Criterion, value: float) -> None:
    """NaN, which the decision refuses, also where a mask hides the broken pixels."""
    spec = replace(MONO, mean=(value,))
    detector = detector_of(engine, {"criterion": criterion.value}, spec, entropy_low=-1.0, entropy_high=1.0)
    assert np.isnan(detector.inspect((part(),)).score)
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[:2] = True
    assert np.isnan(detector.look(part(), Inspected(mask)).score)


def test_the_worst_exposure_decides(engine) -> None:
    """And their number must fit."""
    detector = detector_of(engine, {"criterion": "maximum"}, exposures=2.0)
    assert detector.inspect((part(130), part(250))).score == pytest.approx(250 / 255 - CAP, abs=1e-6)
    with pytest.raises(ImageError, match="1 exposure"):
        detector.inspect((part(),))


@pytest.mark.parametrize(
    ("options", "parameters", "said"),
    [
        ({"criterion": "median"}, {}, "criterion = 'median'"),
        ({"residual": "squared"}, {}, "residual = 'squared'"),
        ({}, {"criterion_sign": 0.5}, "criterion_sign"),
        ({"criterion": "entropy"}, {"entropy_low": 2.0}, "entropy"),
        ({"criterion": "entropy"}, {"entropy_bins": 0.0}, "entropy_bins"),
    ],
)
def test_what_the_runtime_does_not_know_is_refused_at_loading(engine, options, parameters, said: str) -> None:
    """Not at the first part."""
    with pytest.raises(BundleError, match=said):
        detector_of(engine, options, **parameters)


def test_a_reconstruction_of_another_shape_is_refused(engine) -> None:
    """A score or a map that was taken for a reconstruction has no residual."""
    graph = capped([1, 1, SIDE, SIDE], [1, 4, SIDE // 2, SIDE // 2])
    with pytest.raises(EngineError, match="shape"):
        detector_of(engine, {}, graph=graph).inspect((part(),))


def test_the_output_must_be_named(engine) -> None:
    """Said at loading, with what the graph has."""
    bundle = manifest(DetectorKind.RECONSTRUCTION, graphs={"model": "m"}, outputs={"score": "drawn"}, spec=MONO)
    with pytest.raises(BundleError, match="reconstruction"):
        create(bundle, Payloads({"m": capped([1, 1, SIDE, SIDE])}), engine)


def test_the_entropys_histogram_can_be_stated(engine) -> None:
    """Without it, 256 bins over all that images in 0…1 can differ by; in one bin there is no entropy."""
    plain = detector_of(engine, {"criterion": "entropy"}).inspect((part(),)).score
    coarse = detector_of(engine, {"criterion": "entropy"}, entropy_bins=1.0).inspect((part(),)).score
    far = detector_of(engine, {"criterion": "entropy"}, entropy_low=2.0, entropy_high=3.0).inspect((part(),)).score
    assert plain == pytest.approx(criterion_value(known(), Criterion.ENTROPY))
    assert plain > coarse == far == 0.0
