"""What must hold for any tiles, any mask and any turn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_convert.features import input_spec
from edge_convert.teaching.area import TILES_LIMIT, auto_tiles
from edge_convert.teaching.views import rotate
from edge_runtime.domain.model_bundle import Tiles
from edge_runtime.vision.mask import fit_mask, paint_out
from edge_runtime.vision.tiling import Rectangle, lay_tiles, stitch, tile_side

COMMON = settings(deadline=None, max_examples=60)
SIDES = st.integers(1, 400)
GRIDS = st.builds(Tiles, st.integers(1, 8), st.integers(1, 8), st.floats(0, 0.5))
MASKS = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.builds(
        lambda height, width, share: np.random.default_rng(seed).random((height, width)) < share,
        st.integers(1, 40),
        st.integers(1, 40),
        st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    )
)


@COMMON
@given(SIDES, SIDES, GRIDS)
def test_tiles_cover_every_pixel_and_leave_none_outside(width: int, height: int, tiles: Tiles) -> None:
    """As many as the grid says, of one size, within the region; no pixel of it is in none."""
    found = lay_tiles(width, height, tiles)
    seen = np.zeros((height, width), dtype=np.bool_)
    for tile in found:
        assert tile.x >= 0
        assert tile.y >= 0
        assert tile.x + tile.width <= width
        assert tile.y + tile.height <= height
        seen[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = True
    assert len(found) == tiles.rows * tiles.columns
    assert len({(tile.width, tile.height) for tile in found}) == 1
    assert seen.all()


@COMMON
@given(st.integers(8, 4000), st.integers(2, 8), st.floats(0, 0.5))
def test_neighbours_share_what_was_asked_for(length: int, count: int, overlap: float) -> None:
    """Within two pixels of rounding, and all neighbours alike within one."""
    tiles = lay_tiles(length, 10, Tiles(1, count, overlap))
    shared = [one.x + one.width - other.x for one, other in pairwise(tiles)]
    assert min(shared) >= overlap * tiles[0].width - 2
    assert max(shared) <= overlap * tiles[0].width + 2
    assert max(shared) - min(shared) <= 1


@COMMON
@given(st.integers(32, 9000), st.integers(32, 9000), st.integers(32, 512), st.floats(0, 0.5))
def test_automatic_tiles_are_few_and_shrunk_little(height: int, width: int, side: int, overlap: float) -> None:
    """No tile is shrunk by more than 2× unless 64 are not enough for that, and one fewer would be too few."""
    tiles = auto_tiles(height, width, input_spec(side, side, None), overlap)
    assert tiles.rows * tiles.columns <= TILES_LIMIT
    largest = max(tile_side(height, tiles.rows, overlap), tile_side(width, tiles.columns, overlap))
    if tiles.rows * tiles.columns < TILES_LIMIT // 2:
        assert largest <= 2 * side + 1
    if tiles.rows > 1:
        assert tile_side(height, tiles.rows - 1, overlap) > 2 * side - 1
    if tiles.columns > 1:
        assert tile_side(width, tiles.columns - 1, overlap) > 2 * side - 1


@COMMON
@given(SIDES, SIDES, GRIDS, st.integers(1, 64), st.integers(0, 2**32 - 1))
def test_a_stitched_map_has_its_peak_where_a_tile_had_it(
    width: int, height: int, tiles: Tiles, side: int, seed: int
) -> None:
    """Tiles of one value give that value all over; the tile with the higher one shows it on its own ground."""
    places = lay_tiles(width, height, tiles)
    hot = int(np.random.default_rng(seed).integers(len(places)))
    maps = [np.full((side, side), 9.0 if index == hot else 1.0, np.float32) for index in range(len(places))]
    found = stitch(width, height, places, maps, 128)
    assert max(found.shape) <= 128
    assert 1 - 1e-5 <= found.min() <= found.max() <= 9 + 1e-5
    rows, columns = np.nonzero(found > 9 - 1e-5)
    place = places[hot]
    down, across = height / found.shape[0], width / found.shape[1]
    assert place.y - down <= (rows.min() + 0.5) * down <= place.y + place.height + down
    assert place.x - across <= (columns.min() + 0.5) * across <= place.x + place.width + across


@COMMON
@given(SIDES, SIDES, st.integers(1, 64))
def test_one_tile_is_its_own_map(width: int, height: int, side: int) -> None:
    """Where the region is one tile in the map's own proportions, stitching changes no value."""
    found = np.random.default_rng(side).random((side, side), dtype=np.float32)
    square = max(width, height)
    np.testing.assert_array_equal(stitch(square, square, [Rectangle(0, 0, square, square)], [found], side), found)


@COMMON
@given(MASKS, st.integers(1, 24), st.integers(1, 24))
def test_a_fitted_mask_keeps_whatever_shares_an_area(mask: np.ndarray, height: int, width: int) -> None:
    """Cell by cell against the definition, in whole numbers: nothing inspected is lost, nothing else is added."""
    found = fit_mask(mask, height, width)
    for row in range(height):
        for column in range(width):
            upper, lower = row * mask.shape[0] // height, -(-(row + 1) * mask.shape[0] // height)
            left, right = column * mask.shape[1] // width, -(-(column + 1) * mask.shape[1] // width)
            assert found[row, column] == mask[upper:lower, left:right].any()


@COMMON
@given(MASKS, st.sampled_from([np.uint8, np.uint16]), st.booleans())
def test_what_is_painted_out_does_not_depend_on_the_frame(mask: np.ndarray, dtype: type, colour: bool) -> None:  # noqa: FBT001
    """Two frames that agree where the mask is true become the same picture; there, no pixel changes."""
    draw = np.random.default_rng(int(mask.sum()))
    shape = (*mask.shape, 3) if colour else mask.shape
    one, other = (draw.integers(0, np.iinfo(dtype).max, shape, dtype=dtype) for _ in range(2))
    other[mask] = one[mask]
    painted = paint_out(one, mask)
    np.testing.assert_array_equal(painted, paint_out(other, mask))
    np.testing.assert_array_equal(painted[mask], one[mask])


@COMMON
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 3), st.sampled_from([np.uint8, np.uint16]))
def test_steps_of_ninety_degrees_move_pixels_and_change_none(height: int, width: int, step: int, dtype: type) -> None:
    """A square turns as NumPy turns it; of any picture each real pixel is found in the original, none twice."""
    side = min(height, width)
    square = np.random.default_rng(height).integers(0, np.iinfo(dtype).max, (side, side, 3), dtype=dtype)
    turned, real = rotate(square, 90.0 * step, ((side - 1) / 2, (side - 1) / 2))
    assert real.all()
    np.testing.assert_array_equal(turned, np.rot90(square, step))
    numbered = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    turned, real = rotate(numbered, 90.0 * step, ((width - 1) / 2, (height - 1) / 2))
    assert len(set(turned[real].tolist())) == int(real.sum())
