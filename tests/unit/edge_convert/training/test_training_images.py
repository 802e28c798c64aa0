"""Images of good parts for any training: how they are split, and what a part of them is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_backbone import write_parts

from edge_convert.images import survey
from edge_convert.progress import Silent
from edge_convert.training.images import gather, split, subset
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@given(st.integers(2, 5000), st.one_of(st.none(), st.floats(0.01, 0.5)), st.integers(0, 9))
def test_every_image_is_trained_on_or_held_out(count: int, share: float | None, seed: int) -> None:
    """Never both; at least one of each; the same for the same seed."""
    training, held_out = split(count, share, seed)
    assert sorted(training + held_out) == list(range(count))
    assert training
    assert held_out
    assert split(count, share, seed) == (training, held_out)


@pytest.mark.parametrize(("count", "held"), [(15, 5), (60, 20), (200, 20), (2875, 288)])
def test_of_few_images_a_larger_share_is_held_out(count: int, held: int) -> None:
    """Limits are drawn from them: a tenth of thirty would be three."""
    assert len(split(count, None, 0)[1]) == held


def test_a_part_of_the_images_has_a_digest_of_its_own(tmp_path: Path) -> None:
    """Of names and contents of just those files, as a survey of a folder with only them would give."""
    images = survey(write_parts(tmp_path / "all", 4))
    some = subset(images, (1, 3))
    assert [path.name for path in some.files] == ["part-001.png", "part-003.png"]
    twin = tmp_path / "twin"
    twin.mkdir()
    for path in some.files:
        (twin / path.name).write_bytes(path.read_bytes())
    assert some.digest == survey(twin).digest != images.digest


def test_a_name_that_is_no_text_hinders_nobody(tmp_path: Path) -> None:
    """An old camera's software writes Latin-1 names; such a file counts like any other."""
    folder = write_parts(tmp_path / "good", 3)
    plain = survey(folder)
    (folder / "part-001.png").rename(folder / os.fsdecode(b"part-001\xfc.png"))
    images = survey(folder)
    assert len(images.files) == 3
    assert subset(images, (0, 1, 2)).digest == images.digest != plain.digest


def test_too_few_images_are_refused_with_the_way_out(tmp_path: Path) -> None:
    """The message names the network, how many images would do, and what needs fewer."""
    with pytest.raises(ConfigError, match="holds 3 usable images; an autoencoder") as caught:
        gather(write_parts(tmp_path / "few", 3), "an autoencoder", "several hundred", Silent())
    assert "edge-convert teach" in caught.value.action
