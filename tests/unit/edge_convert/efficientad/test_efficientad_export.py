"""The exported graph is the PyTorch model."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import make_teacher  # noqa: E402
from tiny_backbone import write_parts  # noqa: E402

from edge_convert.efficientad.device import Device  # noqa: E402
from edge_convert.efficientad.export import float_nodes, to_onnx  # noqa: E402
from edge_convert.efficientad.model import Quantiles, assemble  # noqa: E402
from edge_convert.efficientad.networks import PdnSize  # noqa: E402
from edge_convert.efficientad.parts import GoodParts  # noqa: E402
from edge_convert.efficientad.quantiles import measure_quantiles  # noqa: E402
from edge_convert.efficientad.reference import TorchReference  # noqa: E402
from edge_convert.images import survey  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402
from edge_convert.teaching.area import Area  # noqa: E402
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize  # noqa: E402


def _seen(model):
    size = model.height_px, model.width_px
    return InputSpec("image", *size, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8")


_SIZES = [(PdnSize.S, 64, 96), (PdnSize.M, 64, 64), (PdnSize.S, 256, 256), (PdnSize.XS, 256, 96)]


def _trained(size: PdnSize, height: int, width: int):
    model = assemble(make_teacher(size=size), height, width, 5)
    model.mean = torch.linspace(-1, 2, 4).view(1, -1, 1, 1)
    model.std = torch.linspace(0.5, 3, 4).view(1, -1, 1, 1)
    model.student_quantiles, model.autoencoder_quantiles = Quantiles(1.5, 4.0), Quantiles(0.2, 0.9)
    return model


@pytest.mark.parametrize(("size", "height", "width"), _SIZES)
def test_graph_and_model_agree_to_rounding(size, height, width):
    """Map and score of the graph in ONNX Runtime equal the model's in PyTorch, preprocessing included."""
    model = _trained(size, height, width)
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = TorchReference(model, _seen(model)).inspect(None, picture)
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    found, score = session.run(["anomaly_map", "score"], {"image": picture[np.newaxis]})
    assert found.shape == (1, 1, height, width)
    np.testing.assert_allclose(found[0, 0], expected.anomaly_map, atol=2e-5 * float(np.abs(found).max()))
    assert score.shape == (1,)
    assert float(score[0]) == float(found.max())


@pytest.mark.parametrize("size", [PdnSize.XS, PdnSize.S])
def test_layers_that_teacher_and_student_share_run_once(size):
    """The graph has one trunk and gives the same map; a student with layers of its own keeps them."""
    model = _trained(size, 64, 64)
    own = [node.name for node in to_onnx(model).graph.node if node.op_type == "Conv"]
    for student, teacher in list(zip(model.student.children(), model.teacher.children(), strict=True))[:-1]:
        student.load_state_dict(teacher.state_dict())
    graph = to_onnx(model)
    shared = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    assert len(own) - len(shared) == 4
    assert not any(name.startswith("teacher/") for name in shared)
    picture = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = TorchReference(model, _seen(model)).inspect(None, picture)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["anomaly_map"], {"image": picture[np.newaxis]})
    np.testing.assert_allclose(found[0, 0], expected.anomaly_map, atol=2e-5 * float(np.abs(found).max()))


def test_the_map_is_the_mean_of_both_maps_each_normalised_by_its_quantiles():
    """Section 3.4: a map is 0 at its lower quantile and 0.1 at its upper one; the two are averaged."""
    model = _trained(PdnSize.S, 64, 64)
    images = Device("cpu", bf16=False).normalised(torch.rand(1, 3, 64, 64))
    model.evaluate()
    with torch.inference_mode():
        local, logical = model.raw_maps(images)
        found = model.anomaly_map(images)
    first = 0.1 * (local - 1.5) / (4.0 - 1.5)
    second = 0.1 * (logical - 0.2) / (0.9 - 0.2)
    torch.testing.assert_close(found, (first + second) / 2)


def test_quantiles_are_those_of_the_held_out_maps(tmp_path):
    """0.9 and 0.995 over the pixels of all held-out images."""
    model = _trained(PdnSize.S, 64, 64)
    images = survey(write_parts(tmp_path / "good", 3))
    spec = InputSpec("image", 64, 64, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8")
    parts = GoodParts(images, Area(spec))
    cpu = Device("cpu", bf16=False)
    measure_quantiles(model, parts, 100, cpu, Silent())
    with torch.inference_mode():
        maps = [model.raw_maps(cpu.normalised(cpu.tensor([parts.picture(index)])))[1] for index in range(3)]
    expected = np.quantile(torch.cat(maps).numpy(), [0.9, 0.995])
    found = model.autoencoder_quantiles
    np.testing.assert_allclose([found.lower, found.upper], expected, rtol=1e-6)


@pytest.mark.parametrize(("size", "layers"), [(PdnSize.S, ("conv1", "conv3")), (PdnSize.XS, ("conv1",))])
def test_nodes_before_and_behind_the_networks_are_named_for_the_quantizer(size, layers):
    """Pixel normalisation, what is behind the last convolutions, and the sensitive convolutions stay in float."""
    graph = to_onnx(_trained(size, 64, 64))
    kept = float_nodes(graph, size)
    names = [node.name for node in graph.graph.node]
    assert len(set(names)) == len(names)
    kinds = {node.op_type for node in graph.graph.node if node.name in kept}
    assert {"Cast", "ReduceMean", "ReduceMax", "Pad"} <= kinds
    assert {node.name for node in graph.graph.node if node.op_type == "Conv" and node.name in kept} == {
        f"{network}/{name}" for network in ("teacher", "student") for name in layers
    }
    left = {node.op_type for node in graph.graph.node if node.name not in kept}
    assert left - {"AveragePool"} == {"Conv", "Relu", "Resize", "Split"}
