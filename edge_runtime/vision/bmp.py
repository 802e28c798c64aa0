"""BMP: uncompressed Windows bitmaps with all their rows."""

from __future__ import annotations

import struct

from edge_runtime.vision.structure import ImageHeader, damaged, unsupported

_INFO_HEADER_BYTES = 40
_FIXED_BYTES = 14 + _INFO_HEADER_BYTES
_UNCOMPRESSED, _BIT_FIELDS = 0, 3
_PALETTE_BITS = 8
_DEPTHS = frozenset({1, 4, 8, 24, 32})


def read_header(data: bytes) -> ImageHeader:
    """Check that every row is there.

    Raises:
        ImageError: truncated, or a kind of bitmap that cannot be decoded faithfully.
    """
    if len(data) < _FIXED_BYTES:
        raise damaged("bmp", "it ends inside its header")
    offset, header_bytes, width, signed_height, _, depth, compression = struct.unpack_from("<IIiiHHI", data, 10)
    if header_bytes < _INFO_HEADER_BYTES:
        raise unsupported("bmp", f"a {header_bytes}-byte header (OS/2)")
    if compression not in {_UNCOMPRESSED, _BIT_FIELDS} or (compression == _BIT_FIELDS and depth != 32):  # noqa: PLR2004
        raise unsupported("bmp", f"compression {compression}")
    if depth not in _DEPTHS:
        raise unsupported("bmp", f"{depth} bits per pixel")
    height = abs(signed_height)
    stride = (width * depth + 31) // 32 * 4
    if offset < _FIXED_BYTES or len(data) < offset + stride * height:
        raise damaged("bmp", f"it has {len(data)} of {offset + stride * height} bytes")
    grey = depth <= _PALETTE_BITS and _has_grey_palette(data, header_bytes, depth)
    return ImageHeader("bmp", width, height, bits=8, is_grey=grey)


def _has_grey_palette(data: bytes, header_bytes: int, depth: int) -> bool:
    (declared,) = struct.unpack_from("<I", data, 46)
    entries = declared or 1 << depth
    if entries > 1 << depth:
        raise damaged("bmp", f"its palette declares {entries} colours")
    start = 14 + header_bytes
    palette = data[start : start + 4 * entries]
    if len(palette) < 4 * entries:
        raise damaged("bmp", "it ends inside its palette")
    return palette[0::4] == palette[1::4] == palette[2::4]
