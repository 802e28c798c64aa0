"""Real photographs instead of drawn ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.domain.errors import ImageError
from edge_runtime.vision.decode import decode_image

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FILES = sorted(path for path in DATA.glob("*/test/*/*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})[::20]

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not FILES, reason="the evaluation images (../shared/data) are not here"),
]


def test_every_photograph_decodes() -> None:
    """Photographs from five sources, of three kinds of cameras, are all sound."""
    for path in FILES:
        array = decode_image(path.read_bytes()).array
        assert min(array.shape[:2]) >= 300, path.name


def test_no_cut_photograph_decodes() -> None:
    """At 1 %, 50 %, 99 % and 99.99 % of their length."""
    for path in FILES:
        data = path.read_bytes()
        for share in (0.01, 0.5, 0.99, 0.9999):
            with pytest.raises(ImageError):
                decode_image(data[: int(len(data) * share)])


def test_a_lost_block_in_a_photograph_is_noticed() -> None:
    """512 bytes of a scan replaced by noise, as from a bad sector: 98 of 100 are refused (JPEG has no sums)."""
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        data = bytearray(FILES[int(generator.integers(len(FILES)))].read_bytes())
        at = int(generator.integers(len(data) // 4, len(data) - 600))
        data[at : at + 512] = generator.bytes(512)
        try:
            decode_image(bytes(data))
        except ImageError:
            refused += 1
    assert refused >= 98
