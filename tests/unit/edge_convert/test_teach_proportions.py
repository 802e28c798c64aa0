from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import ENGINE, drawn_options, taught

from edge_convert.images import load_image, survey
from edge_runtime.app.inspection import load_inspector
from edge_runtime.detectors.proportions import NARROWEST, WIDEST
from edge_runtime.domain.errors import ImageError
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_of_mixed_proportions_is_remembered_and_nothing_beyond_it_is_scored(tmp_path: Path) -> None:
    """The golden images are few: by chance none of them has the rarer proportions that the line sees as well."""
    options = drawn_options(tmp_path, 16)
    usual = load_image(survey(options.images).files[0])
    height, width = usual.shape[:2]
    half = np.ascontiguousarray(usual[: height // 2])
    (options.images / "half.png").write_bytes(encode_png(half))
    taught(options)
    with load_inspector(options.out, ENGINE, "development") as inspector:
        assert inspector.bundle.parameters[NARROWEST] == pytest.approx(width / height)
        assert inspector.bundle.parameters[WIDEST] == pytest.approx(width / (height // 2))
        for sound in (usual, half):
            assert np.isfinite(inspector.inspect((sound,)).score)
        with pytest.raises(ImageError, match="proportions"):
            inspector.inspect((usual[: height // 4],))
        with pytest.raises(ImageError, match="proportions"):
            inspector.inspect((usual[:, : width // 2],))


def test_a_folder_says_of_an_image_that_is_left_out_what_to_do(tmp_path: Path) -> None:
    """The reason alone leaves whoever took the pictures with nothing to try."""
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(encode_png(np.full((4, 4), number, np.uint8)))
    (tmp_path / "x.tif").write_bytes(b"II*\x00")
    (told, *_) = survey(tmp_path).warnings
    assert "x.tif" in told
    assert "supply it again" in told
