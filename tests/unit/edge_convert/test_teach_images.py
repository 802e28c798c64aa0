from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_backbone import draw_part, write_parts

from edge_convert.defects import KINDS, plant_defect
from edge_convert.images import survey
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path


def test_sound_images_are_kept_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Images are sorted by name; other files and folders are no images."""
    folder = write_parts(tmp_path / "good", 6)
    (folder / "notes.txt").write_text("hello")
    (folder / "deeper").mkdir()
    seen: list[int] = []
    found = survey(folder, lambda: seen.append(1))
    assert [path.name for path in found.files] == [f"part-{seed:03d}.png" for seed in range(6)]
    assert len(seen) == 6
    assert found.warnings == ()
    np.testing.assert_array_equal(found.load(2), draw_part(2))


def test_a_corrupt_image_is_named_and_left_out(tmp_path: Path) -> None:
    """One truncated file among twenty: the warning names it, the rest is used."""
    folder = write_parts(tmp_path / "good", 20)
    victim = folder / "part-007.png"
    victim.write_bytes(victim.read_bytes()[:-200])
    found = survey(folder)
    assert len(found.files) == 19
    assert "part-007.png" in found.warnings[0]


def test_too_many_corrupt_images_are_refused(tmp_path: Path) -> None:
    """Three in twenty: something is wrong with the copy, and teaching does not begin."""
    folder = write_parts(tmp_path / "good", 20)
    for number in (1, 2, 3):
        (folder / f"part-{number:03d}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ConfigError, match="3 of 20"):
        survey(folder)


def test_mixed_sizes_and_copies_are_noticed(tmp_path: Path) -> None:
    """An image of another size and an exact copy are both mentioned, and used."""
    folder = write_parts(tmp_path / "good", 6)
    (folder / "wide.png").write_bytes(encode_png(draw_part(50, width_px=140)))
    (folder / "z-copy.png").write_bytes((folder / "part-000.png").read_bytes())
    found = survey(folder)
    assert len(found.files) == 8
    assert "140×96" in found.warnings[0]
    assert "1 images are exact copies" in found.warnings[1]


def test_no_folder_and_no_images_are_refused(tmp_path: Path) -> None:
    """A wrong path and a folder one level too high say what to name instead."""
    with pytest.raises(ConfigError, match="not a folder"):
        survey(tmp_path / "absent")
    write_parts(tmp_path / "train" / "good", 2)
    with pytest.raises(ConfigError, match="no image") as caught:
        survey(tmp_path / "train")
    assert "train/good" in caught.value.action


def test_the_digest_is_that_of_names_and_contents(tmp_path: Path) -> None:
    """A copy of the folder has the same digest; one changed pixel gives another."""
    one, two = survey(write_parts(tmp_path / "a", 5)), survey(write_parts(tmp_path / "b", 5))
    assert one.digest == two.digest
    changed = draw_part(3).copy()
    changed[0, 0] = 0
    (tmp_path / "b" / "part-003.png").write_bytes(encode_png(changed))
    assert survey(tmp_path / "b").digest != one.digest


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("form", ["rgb8", "mono8", "mono16"])
def test_a_planted_defect_is_repeatable_and_visible(kind: int, form: str) -> None:
    """Same arguments, same pixels; dtype, shape and the original stay; something changed, inside the region only."""
    image = draw_part(1) if form == "rgb8" else np.ascontiguousarray(draw_part(1)[:, :, 0])
    if form == "mono16":
        image = image.astype(np.uint16) * 257
    before = image.copy()
    region = (30, 20, 60, 50)
    damaged = plant_defect(image, 9, kind, region)
    np.testing.assert_array_equal(damaged, plant_defect(image, 9, kind, region))
    np.testing.assert_array_equal(image, before)
    assert (damaged.shape, damaged.dtype) == (image.shape, image.dtype)
    changed = damaged != image
    assert changed.any()
    changed[20:70, 30:90] = False
    assert not changed.any()
    assert (plant_defect(image, 9, kind) != plant_defect(image, 10, kind)).any()
