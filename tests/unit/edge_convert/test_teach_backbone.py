from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tiny_backbone import CHANNELS, write_backbone

from edge_convert.backbone import IMAGENET_MEAN, choose_layers, load_backbone
from edge_convert.graphs import build_features
from edge_runtime.domain.errors import ConfigError

MOBILENET = Path(__file__).resolve().parents[4] / "shared" / "weights" / "mobilenet_v2_1.0_imagenet_features.onnx"


def test_layers_are_found_and_the_middle_ones_chosen(tmp_path: Path) -> None:
    """Outputs are listed finest first with their size; without a choice strides 8 and 16 are taken."""
    backbone = load_backbone(write_backbone(tmp_path / "b.onnx"), 64, 96)
    assert [(layer.name, layer.channels) for layer in backbone.layers] == list(CHANNELS.items())
    assert [(layer.height, layer.width) for layer in backbone.layers] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [layer.name for layer in choose_layers(backbone, ())] == ["layer2", "layer3"]
    assert [layer.name for layer in choose_layers(backbone, ("layer4", "layer1"))] == ["layer1", "layer4"]


def test_normalisation_comes_from_flags_then_metadata_then_imagenet(tmp_path: Path) -> None:
    """Flags win over the file's metadata; with neither, ImageNet's values are taken and said so."""
    stated = write_backbone(tmp_path / "b.onnx", {"input_mean": "0.1,0.2,0.3", "input_std": "0.5,0.5,0.5"})
    assert load_backbone(stated, 64, 64).mean == (0.1, 0.2, 0.3)
    assert load_backbone(stated, 64, 64).notices == ()
    assert load_backbone(stated, 64, 64, (0.5,) * 3, (0.25,) * 3).std == (0.25,) * 3
    silent = load_backbone(write_backbone(tmp_path / "s.onnx"), 64, 64)
    assert silent.mean == IMAGENET_MEAN
    assert "ImageNet" in silent.notices[0]


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,) * 3, None), ((0.5,), (0.5,)), ((0.5,) * 3, (0.0, 1.0, 1.0)), (None, (0.5,) * 3)]
)
def test_impossible_normalisation_is_refused(
    tmp_path: Path, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> None:
    """Half a normalisation, too few numbers or a deviation of zero are refused with the flag named."""
    path = write_backbone(tmp_path / "b.onnx")
    with pytest.raises(ConfigError) as caught:
        load_backbone(path, 64, 64, mean, std)
    assert "--mean" in caught.value.diagnostics() or "--std" in caught.value.diagnostics()


def test_unreadable_metadata_points_to_the_flags(tmp_path: Path) -> None:
    """A normalisation in the file that is no list of numbers is refused, with the way out."""
    path = write_backbone(tmp_path / "b.onnx", {"input_mean": "grey", "input_std": "1,1,1"})
    with pytest.raises(ConfigError, match="grey") as caught:
        load_backbone(path, 64, 64)
    assert "--mean" in caught.value.action


def test_what_is_no_backbone_is_refused(tmp_path: Path) -> None:
    """A missing file, a text file, a graph for mono images, and a layer that is not there: each named."""
    with pytest.raises(ConfigError, match="absent"):
        load_backbone(tmp_path / "absent.onnx", 64, 64)
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ConfigError, match="valid ONNX"):
        load_backbone(tmp_path / "text.onnx", 64, 64)
    with pytest.raises(ConfigError, match="input"):
        load_backbone(write_backbone(tmp_path / "mono.onnx", channels=1), 64, 64)
    with pytest.raises(ConfigError, match="layer9") as caught:
        choose_layers(load_backbone(write_backbone(tmp_path / "b.onnx"), 64, 64), ("layer9",))
    assert "layer1, layer2" in caught.value.action


def test_stages_that_are_not_used_are_dropped(tmp_path: Path) -> None:
    """With layers 1 and 2 chosen, nothing of layers 3 and 4 is left in the features graph."""
    backbone = load_backbone(write_backbone(tmp_path / "b.onnx"), 64, 64)
    graph = build_features(backbone, choose_layers(backbone, ("layer1", "layer2")))
    assert sum(node.op_type == "Conv" for node in graph.model.graph.node) == 2
    assert not [value.name for value in graph.model.graph.initializer if "layer3" in value.name]


@pytest.mark.needs_shared
@pytest.mark.skipif(not MOBILENET.exists(), reason="the ImageNet backbones (../shared/weights) are not here")
def test_a_backbone_with_computed_padding_is_imported() -> None:
    """MobileNetV2 pads by arithmetic on the input's shape: at a fixed size it folds away and the layers are right."""
    backbone = load_backbone(MOBILENET, 256, 256, (0.5,) * 3, (0.5,) * 3)
    assert [(layer.height, layer.channels) for layer in choose_layers(backbone, ())] == [(32, 32), (16, 96)]
    graph = build_features(backbone, choose_layers(backbone, ()))
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    patches = session.run(None, {"image": np.full((1, 256, 256, 3), 128, dtype=np.uint8)})[0]
    assert patches.shape == (32 * 32, 128)
    assert np.isfinite(patches).all()
