"""What ships as a backbone of our own is usable by `teach` as it is."""

from __future__ import annotations

from pathlib import Path

from edge_convert.backbone import choose_layers, load_backbone

_SHIPPED = Path(__file__).resolve().parents[3] / "models" / "backbones" / "procedural_r18s_v1.onnx"


def test_the_default_layers_are_those_the_figures_were_taken_with() -> None:
    """Without --layers and --mean, teach takes strides 8 and 16 and the file's own normalisation, without a notice."""
    backbone = load_backbone(_SHIPPED, 96, 128)
    chosen = choose_layers(backbone, ())
    assert [(layer.name, layer.channels, layer.height) for layer in chosen] == [("layer2", 96, 12), ("layer3", 192, 6)]
    assert (backbone.mean, backbone.std) == ((0.5,) * 3, (0.25,) * 3)
    assert backbone.notices == ()
    assert "procedural images only" in backbone.metadata["training"]


def test_the_shipped_backbone_stays_small() -> None:
    """It travels in the repository: under 25 MB."""
    assert _SHIPPED.stat().st_size < 25e6
