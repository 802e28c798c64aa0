"""WebP: a complete RIFF container with one still image."""

from __future__ import annotations

from edge_runtime.vision.exif import orientation_of
from edge_runtime.vision.structure import ImageHeader, damaged, unsupported

_RIFF_BYTES = 12
_CHUNK_OVERHEAD = 8
_LOSSY_HEADER_BYTES = 10
_LOSSLESS_HEADER_BYTES = 5


def read_header(data: bytes) -> ImageHeader:
    """Walk all chunks to the declared end.

    Raises:
        ImageError: truncated, animated, or no WebP at all.
    """
    if data[8:12] != b"WEBP":
        raise unsupported("riff", f"content {data[8:12]!r}")
    declared = _CHUNK_OVERHEAD + int.from_bytes(data[4:8], "little")
    if len(data) < declared:
        raise damaged("webp", f"it has {len(data)} of {declared} bytes")
    size: tuple[int, int] | None = None
    orientation = 1
    for kind, body in _chunks(data[:declared]):
        match kind:
            case b"VP8 ":
                size = _lossy_size(body)
            case b"VP8L":
                size = _lossless_size(body)
            case b"EXIF":
                orientation = orientation_of(body.removeprefix(b"Exif\x00\x00"))
            case b"ANIM" | b"ANMF":
                raise unsupported("webp", "animation")
            case _:
                pass
    if size is None:
        raise damaged("webp", "it holds no image")
    return ImageHeader("webp", *size, bits=8, is_grey=False, orientation=orientation)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks: list[tuple[bytes, bytes]] = []
    position = _RIFF_BYTES
    while position < len(data):
        kind = data[position : position + 4]
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + _CHUNK_OVERHEAD + length
        if end > len(data):
            raise damaged("webp", f"it ends inside chunk {kind!r}")
        chunks.append((kind, data[position + 8 : end]))
        position = end + length % 2
    return chunks


def _lossy_size(body: bytes) -> tuple[int, int]:
    """RFC 6386, section 9.1: key frame, start code, two 14-bit sizes."""
    if len(body) < _LOSSY_HEADER_BYTES or body[3:6] != b"\x9d\x01\x2a":
        raise damaged("webp", "its VP8 frame header is wrong")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _lossless_size(body: bytes) -> tuple[int, int]:
    """RFC 9649, section 3.4: signature, then two 14-bit sizes less one."""
    if len(body) < _LOSSLESS_HEADER_BYTES or body[0] != 0x2F:  # noqa: PLR2004
        raise damaged("webp", "its VP8L signature is wrong")
    bits = int.from_bytes(body[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
