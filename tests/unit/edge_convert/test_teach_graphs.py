from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
from tiny_backbone import draw_part, write_backbone

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.graphs import build_features
from edge_convert.search_graph import bank_of, read_bank

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def _run(model: bytes, feeds: dict[str, npt.NDArray[np.generic]]) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def _pooled(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """3×3 average, zeros beyond the border counted, of C×H×W."""
    return np.stack([cv2.blur(plane, (3, 3), borderType=cv2.BORDER_CONSTANT) for plane in features])


def test_features_are_normalised_pooled_resized_and_stacked(tmp_path: Path) -> None:
    """The graph equals the steps done by hand: (pixel/255 − mean)/std, backbone, 3×3 mean, bilinear, concatenation."""
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    path = write_backbone(tmp_path / "b.onnx")
    backbone = load_backbone(path, 64, 96, mean, std)
    graph = build_features(backbone, choose_layers(backbone, ()))
    image = draw_part(1, height_px=64, width_px=96)
    patches = _run(graph.model.SerializeToString(), {"image": image[np.newaxis]})[0]

    tensor = ((image / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)[np.newaxis]
    _, fine, coarse, _ = _run(path.read_bytes(), {"input": tensor})
    resized = [cv2.resize(plane, (12, 8), interpolation=cv2.INTER_LINEAR) for plane in _pooled(coarse[0])]
    expected = np.concatenate([_pooled(fine[0]), np.stack(resized)]).transpose(1, 2, 0).reshape(8 * 12, -1)
    assert (graph.grid_height, graph.grid_width, graph.channels) == (8, 12, 28)
    np.testing.assert_allclose(patches, expected, atol=2e-5)


def test_search_gives_the_distance_to_the_nearest(tmp_path: Path) -> None:
    """Equal to brute force in float64, also where features lie far from the origin; zero for a vector of the bank."""
    draw = np.random.default_rng(3)
    bank = (draw.normal(0, 1, (300, 40)) + 25).astype(np.float32)
    patches = (draw.normal(0, 1, (50, 40)) + 25).astype(np.float32)
    patches[0] = bank[17]
    distances = _run(bank_of(bank).graph(50), {"patches": patches})[0]
    differences = patches.astype(np.float64)[:, np.newaxis] - bank.astype(np.float64)
    expected = np.sqrt(np.square(differences).sum(axis=2)).min(axis=1)
    np.testing.assert_allclose(distances[1:], expected[1:], rtol=1e-5)
    assert distances[0] < 0.01
    assert distances.dtype == np.float32


def test_the_bank_in_a_graph_can_be_read_back() -> None:
    """Its rows, to the rounding of one sum, and the same numbers that the graph computes with."""
    rows = (np.random.default_rng(4).normal(0, 1, (30, 12)) + 9).astype(np.float32)
    bank = bank_of(rows)
    again = read_bank(bank.graph(5))
    np.testing.assert_allclose(again.rows, rows, rtol=1e-6)
    np.testing.assert_array_equal(again.columns, bank.columns)
