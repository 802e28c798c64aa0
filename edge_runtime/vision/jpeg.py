"""JPEG, through libjpeg-turbo with every warning an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import simplejpeg

from edge_runtime.vision.exif import orientation_of
from edge_runtime.vision.structure import ImageHeader, damaged, unsupported

if TYPE_CHECKING:
    import numpy.typing as npt

_EXIF = b"Exif\x00\x00"
_END_OF_IMAGE = b"\xff\xd9"
_APP1, _SOS, _EOI = 0xE1, 0xDA, 0xD9
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0…7, SOI."""


def read_header(data: bytes) -> ImageHeader:
    """Size, colour and orientation; the end-of-image marker must be there.

    Raises:
        ImageError: damaged header, no end of image, or a colour space without a defined way to RGB.
    """
    orientation, scan_start = _walk_to_scan(data)
    # Independent of libjpeg's warnings. A thumbnail's own end lies before the scan; padding may follow the end.
    if data.find(_END_OF_IMAGE, scan_start) < 0:
        raise damaged("jpeg", "its end-of-image marker is missing")
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data, strict=True)
    except ValueError as error:
        raise damaged("jpeg", str(error)) from error
    if colour in {"CMYK", "YCCK"}:
        raise unsupported("jpeg", f"colour space {colour}")
    return ImageHeader("jpeg", width, height, bits=8, is_grey=colour == "Gray", orientation=orientation)


def decode(data: bytes, header: ImageHeader) -> npt.NDArray[Any]:
    """H×W or H×W×3 RGB, uint8.

    Raises:
        ImageError: libjpeg warned (cut or corrupt entropy data) or failed.
    """
    try:
        pixels: npt.NDArray[Any] = simplejpeg.decode_jpeg(
            data, colorspace="GRAY" if header.is_grey else "RGB", strict=True
        )
    except ValueError as error:
        raise damaged("jpeg", str(error)) from error
    return pixels[:, :, 0] if header.is_grey else pixels


def _walk_to_scan(data: bytes) -> tuple[int, int]:
    """Orientation stated by the EXIF block, and where the first scan begins."""
    orientation = 1
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:  # noqa: PLR2004
            raise damaged("jpeg", f"no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # noqa: PLR2004  (fill byte)
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        if marker == _SOS:
            return orientation, position
        if marker == _EOI:
            break
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position + 4 : position + 2 + length]
        if marker == _APP1 and segment.startswith(_EXIF):
            orientation = orientation_of(segment[len(_EXIF) :])
        position += 2 + length
    raise damaged("jpeg", "it has no scan")
