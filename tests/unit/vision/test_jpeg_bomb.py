from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.domain.errors import ImageError
from edge_runtime.vision.decode import decode_image


def _declaring(side_px: int) -> bytes:
    """A JPEG of 16 × 16 px whose header declares more."""
    sound = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    frame = sound.index(b"\xff\xc0") + 5
    return sound[:frame] + side_px.to_bytes(2, "big") * 2 + sound[frame + 4 :]


@pytest.mark.parametrize("side_px", [4_000, 15_000])
def test_a_few_bytes_cannot_ask_for_hundreds_of_megabytes(side_px) -> None:
    """A decoder would paint what is not there: seconds of the processor and all memory of a small board."""
    with pytest.raises(ImageError, match="cannot hold"):
        decode_image(_declaring(side_px))


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("shape", [(2_000, 2_000, 3), (2_000, 2_000)])
def test_the_plainest_picture_an_encoder_can_make_is_decoded(shape, progressive) -> None:
    """One colour, lowest quality, optimised tables: as many pixels per byte as there can be."""
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_QUALITY, 1]
    data = cv2.imencode(".jpg", np.full(shape, 128, np.uint8), options)[1].tobytes()
    assert decode_image(data).array.shape == shape
