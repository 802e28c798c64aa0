"""PNG: every chunk's checksum, and an image that fills its declared size."""

from __future__ import annotations

import struct
import zlib

from edge_runtime.vision.exif import orientation_of
from edge_runtime.vision.structure import ImageHeader, damaged, require_decodable_size, unsupported

_SIGNATURE_BYTES = 8
_CHUNK_OVERHEAD = 12
_IHDR_BYTES = 13
_GREY, _GREY_ALPHA = 0, 4
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_INFLATE_STEP = 1 << 20
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""x start, y start, x step, y step of the seven interlace passes."""


def read_header(data: bytes) -> ImageHeader:
    """Walk all chunks to IEND, checking each checksum, then check that the pixel stream is complete.

    Raises:
        ImageError: damaged, truncated or animated.
    """
    ihdr = b""
    orientation = 1
    pixels: list[bytes] = []
    for kind, body in _chunks(data):
        if not ihdr and kind != b"IHDR":
            raise damaged("png", "its first chunk is not IHDR")
        match kind:
            case b"IHDR":
                ihdr = body
            case b"IDAT":
                pixels.append(body)
            case b"eXIf":
                orientation = orientation_of(body)
            case b"acTL":
                raise unsupported("png", "animation")
            case _:
                pass
    if len(ihdr) != _IHDR_BYTES:
        raise damaged("png", "its IHDR chunk has the wrong length")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", ihdr)
    if colour not in _CHANNELS:
        raise damaged("png", f"colour type {colour} does not exist")
    header = ImageHeader("png", width, height, is_grey=colour in {_GREY, _GREY_ALPHA}, orientation=orientation)
    require_decodable_size(header)
    _require_complete(pixels, _raw_bytes(width, height, depth * _CHANNELS[colour], interlaced=bool(interlace)))
    return header


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks: list[tuple[bytes, bytes]] = []
    position = _SIGNATURE_BYTES
    while position + _CHUNK_OVERHEAD <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + _CHUNK_OVERHEAD + length
        kind = data[position + 4 : position + 8]
        if end > len(data):
            raise damaged("png", f"it ends inside chunk {kind!r}")
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise damaged("png", f"the checksum of chunk {kind!r} at byte {position} is wrong")
        if kind == b"IEND":
            return chunks
        chunks.append((kind, data[position + 8 : end - 4]))
        position = end
    raise damaged("png", "it ends before IEND")


def _raw_bytes(width: int, height: int, bits_per_pixel: int, *, interlaced: bool) -> int:
    """Size of the inflated stream: each row has a filter byte in front."""
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for x_start, y_start, x_step, y_step in passes:
        columns = -(-(width - x_start) // x_step)
        rows = -(-(height - y_start) // y_step)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits_per_pixel // 8))
    return total


def _require_complete(pixels: list[bytes], expected: int) -> None:
    # Checksums prove what was written, not that the writer had finished: only inflating shows that.
    inflate = zlib.decompressobj()
    total = 0
    try:
        for body in pixels:
            pending = body
            while pending and total <= expected:
                total += len(inflate.decompress(pending, _INFLATE_STEP))
                pending = inflate.unconsumed_tail
    except zlib.error as error:
        raise damaged("png", f"its pixel stream is corrupt ({error})") from error
    if total < expected:
        raise damaged("png", f"its pixel stream has {total} of {expected} bytes")
