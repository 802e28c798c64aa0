"""The quick ranking of candidate backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from tiny_backbone import draw_part, write_backbone

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.coreset import CoresetSize
from edge_convert.graphs import IMAGE, PATCHES, build_features
from edge_runtime.vision.encode import encode_png
from train_backbone.rank import ImageSet, load_set, onnx_extractor, patches, rank

if TYPE_CHECKING:
    from pathlib import Path

_TINY = CoresetSize(0.01, 40, 60)


def _parts(seeds: range, *, defect: bool = False) -> np.ndarray:
    return np.stack([draw_part(seed, defect=defect, height_px=256, width_px=256) for seed in seeds])


def test_marked_parts_rank_above_good_ones(tmp_path: Path) -> None:
    """A backbone that sees the marks gets a full score, one that sees nothing half of it."""
    images = ImageSet("discs", _parts(range(8)), _parts(range(8, 12)), _parts(range(20, 24), defect=True))
    found = rank(images, onnx_extractor(write_backbone(tmp_path / "seeing.onnx")), _TINY)
    assert (found.auroc, found.folded) == (1.0, 1.0)
    assert found.gap > 1
    blind = rank(images, lambda image: [np.zeros((1, 4, 32, 32), np.float32) + image[0, 0, 0, 0] * 0], _TINY)
    assert blind.auroc == pytest.approx(0.5)


def test_patches_are_those_of_a_taught_bundle(tmp_path: Path) -> None:
    """Pooling, enlargement and order of channels are those of the features graph that `teach` builds."""
    path = write_backbone(tmp_path / "tiny.onnx")
    part = draw_part(1, defect=True, height_px=256, width_px=256)
    backbone = load_backbone(path, 256, 256)
    graph = build_features(backbone, choose_layers(backbone, ()))
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    (taught,) = session.run([PATCHES], {IMAGE: part[None]})
    extract = onnx_extractor(path)
    own = patches(extract(part[None].transpose(0, 3, 1, 2).astype(np.float32) / 255))
    np.testing.assert_allclose(own, taught, rtol=1e-3, atol=1e-4)


def test_a_set_is_read_from_its_folders(tmp_path: Path) -> None:
    """Training, good and defective images are found, resized to 256x256, and what is no image is left alone."""
    for folder, count in (("train/good", 3), ("test/good", 2), ("test/cut", 1), ("test/mark", 2)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / f"{number}.png").write_bytes(encode_png(draw_part(number)))
    (tmp_path / "train/good/notes.txt").write_text("no image")
    images = load_set(tmp_path)
    assert (len(images.train), len(images.good), len(images.defect)) == (3, 2, 3)
    assert images.train.shape[1:] == (256, 256, 3)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    """An unreadable image stops the ranking and its path is told."""
    for folder in ("train/good", "test/good", "test/cut"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "train/good/broken.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        load_set(tmp_path)
