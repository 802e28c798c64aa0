"""Pictures for a soak: of the proportions that its bundle takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from brightest import write_brightest

from edge_runtime.app.soak.belt import draw_pictures, frame_size_px

if TYPE_CHECKING:
    from pathlib import Path

USUAL_PX: Final = (320, 240)


@pytest.mark.parametrize(
    ("taught_px", "expected_px"),
    [((64, 48), USUAL_PX), ((64, 64), (240, 240)), ((128, 64), (480, 240)), ((64, 128), (240, 480))],
)
def test_a_bundle_is_shown_pictures_of_its_own_proportions(
    tmp_path: Path, taught_px: tuple[int, int], expected_px: tuple[int, int]
) -> None:
    """A soak with a bundle of square parts would otherwise only be told that the camera is set wrongly."""
    bundle = write_brightest(tmp_path / "p.bundle", taught_px)
    assert frame_size_px(bundle, USUAL_PX) == expected_px
    assert len(draw_pictures(bundle, *expected_px, count=2)) == 2
