"""PNG: every chunk's checksum, up to the end chunk. A pixel stream that stops early is refused by libpng itself."""

from __future__ import annotations

import struct
import zlib

from edge_runtime.vision.exif import orientation_of
from edge_runtime.vision.structure import ImageHeader, damaged, unsupported

_SIGNATURE_BYTES = 8
_CHUNK_OVERHEAD = 12
_IHDR_BYTES = 13
_GREY, _GREY_ALPHA = 0, 4


def read_header(data: bytes) -> ImageHeader:
    """Walk all chunks to IEND, checking each checksum.

    Raises:
        ImageError: damaged, truncated or animated.
    """
    ihdr = b""
    orientation = 1
    for kind, body in _chunks(data):
        if not ihdr and kind != b"IHDR":
            raise damaged("png", "its first chunk is not IHDR")
        match kind:
            case b"IHDR":
                ihdr = body
            case b"eXIf":
                orientation = orientation_of(body)
            case b"acTL":
                raise unsupported("png", "animation")
            case _:
                pass
    if len(ihdr) != _IHDR_BYTES:
        raise damaged("png", "its IHDR chunk has the wrong length")
    width, height, depth, colour = struct.unpack_from(">IIBB", ihdr)
    grey = colour in {_GREY, _GREY_ALPHA}
    return ImageHeader("png", width, height, bits=max(depth, 8), is_grey=grey, orientation=orientation)


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
