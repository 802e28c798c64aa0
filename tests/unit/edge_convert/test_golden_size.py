from __future__ import annotations

import dataclasses

import numpy as np

from edge_convert.features import input_spec
from edge_convert.golden import small_enough
from edge_convert.teaching.area import Area
from edge_runtime.domain.model_bundle import Tiles


def test_golden_images_keep_what_tiles_show() -> None:
    """A large frame is reduced, but each of its tiles keeps more pixels than the network's input."""
    large = np.zeros((1600, 2400, 3), np.uint8)
    whole = Area(input_spec(256, 256, None))
    tiled = Area(dataclasses.replace(whole.spec, tiles=Tiles(4, 6, 0.1)))
    assert small_enough(large, whole).size <= 3 << 20
    reduced = small_enough(large, tiled)
    assert 4 * 256 < reduced.shape[0] < 1600
    assert 6 * 256 < reduced.shape[1] < 2400


def test_golden_images_with_a_region_keep_their_size() -> None:
    """Its coordinates bind them to it: only what is not inspected becomes black."""
    large = np.full((1600, 2400), 9, np.uint8)
    reduced = small_enough(large, Area(input_spec(64, 64, (100, 200, 300, 400))))
    assert reduced.shape == large.shape
    assert reduced[200:600, 100:400].all()
    assert int((reduced > 0).sum()) == 300 * 400
