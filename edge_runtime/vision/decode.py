"""Bytes to pixels, strictly: the exact full image or an error, never half an image.

Most decoders are lenient: what libjpeg cannot read it paints grey and mentions in a warning. A grey half hides a
defect, so a warning is an error here, and every container is walked to its end before its pixels are decoded.

The limit of that: only PNG carries checksums. A few altered bytes inside a JPEG's scan may decode to altered pixels
without a warning, and a BMP or an uncompressed TIFF cannot show at all that its pixels were altered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.domain.errors import ImageError
from edge_runtime.vision import bmp, jpeg, png, tiff, webp
from edge_runtime.vision.structure import damaged, require_decodable_size, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.vision.structure import ImageHeader

_SIGNATURES: tuple[tuple[bytes, Callable[[bytes], ImageHeader]], ...] = (
    (b"\x89PNG\r\n\x1a\n", png.read_header),
    (b"BM", bmp.read_header),
    (b"II*\x00", tiff.read_header),
    (b"MM\x00*", tiff.read_header),
    (b"RIFF", webp.read_header),
)


_BGRA = 4


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Pixels as a part would be seen, upright."""

    array: Exposure
    """H×W or H×W×3 RGB, uint8 or uint16, C-contiguous, read-only."""
    orientation: int
    """EXIF/TIFF orientation that the file stated, 1…8; already applied to `array`."""
    format: str
    """"jpeg", "png", "bmp", "tiff" or "webp"."""


def decode_image(data: bytes) -> DecodedImage:
    """Decode one JPEG, PNG, BMP, TIFF or WebP file.

    Grey files become H×W, everything else H×W×3 RGB. Palettes are expanded, alpha is dropped, EXIF orientation is
    applied once. Colour profiles are not applied: the model saw the same raw values in training.

    Raises:
        ImageError: damaged, truncated, not an image, float or 32-bit pixels, a compression inside TIFF or BMP that
        cannot
            be checked, or more than `structure.MAX_PIXELS` pixels declared.
    """
    if data[:2] == b"\xff\xd8":
        header = jpeg.read_header(data)
        require_decodable_size(header, len(data))
        pixels = jpeg.decode(data, header)
    else:
        header = _identify(data)(data)
        require_decodable_size(header, len(data))
        pixels = _decode_with_opencv(data, header)
    array = np.ascontiguousarray(_upright(pixels, header.orientation))
    array.flags.writeable = False
    return DecodedImage(array=array, orientation=header.orientation, format=header.format)


def _identify(data: bytes) -> Callable[[bytes], ImageHeader]:
    for signature, read_header in _SIGNATURES:
        if data.startswith(signature):
            return read_header
    if not data:
        raise ImageError("the image file is empty", "check that the camera or the copy has finished writing it")
    raise ImageError(
        f"not an image that can be decoded (it begins with {data[:8].hex(' ')})",
        "supply JPEG, PNG, BMP, TIFF or WebP",
    )


def _decode_with_opencv(data: bytes, header: ImageHeader) -> npt.NDArray[Any]:
    try:
        # UNCHANGED keeps 16 bit and leaves the orientation to us.
        raw = cv2.imdecode(np.frombuffer(header.patched or data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise damaged(header.format, str(error).strip()) from error
    if raw is None:
        raise damaged(header.format, "the pixel data cannot be decoded")
    pixels: npt.NDArray[Any] = raw
    if pixels.dtype != np.dtype(f"uint{header.bits}"):
        raise unsupported(header.format, f"this combination of {header.bits} bits and channels")
    if pixels.shape[:2] != (header.height_px, header.width_px):
        raise damaged(header.format, f"decoded {pixels.shape[1]}×{pixels.shape[0]}, the header says otherwise")
    if pixels.ndim == 2:  # noqa: PLR2004  (H×W)
        return pixels
    if header.is_grey:
        return pixels[:, :, 0]
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == _BGRA else cv2.COLOR_BGR2RGB))


def _upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo the rotation that the tag states (TIFF 6.0, tag 274)."""
    if orientation >= 5:  # noqa: PLR2004  (5…8 swap rows and columns)
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels
