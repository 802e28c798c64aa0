"""Image files built byte by byte, for what no encoder would write."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

HEIGHT, WIDTH = 19, 31


def pixels(dtype: type, channels: int) -> np.ndarray:
    """A picture without any symmetry, so that every wrong turn or swapped channel shows."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [(x * 7 + y * (3 + k) + k * 40) % 250 for k in range(channels)]
    scale = 1 if dtype is np.uint8 else 257
    array = (np.stack(planes, axis=-1) * scale + (0 if dtype is np.uint8 else 5)).astype(dtype)
    return array[:, :, 0] if channels == 1 else array


def opencv_file(extension: str, rgb: np.ndarray, *flags: int) -> bytes:
    """Written by OpenCV, which wants BGR."""
    order = {2: rgb, 3: rgb[..., [2, 1, 0, 3][: rgb.shape[-1]]]}[rgb.ndim]
    return bytes(cv2.imencode(extension, np.ascontiguousarray(order), flags)[1])


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(header: bytes, stream: bytes, *extra: bytes) -> bytes:
    """A PNG of exactly these parts."""
    chunks = (png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", stream), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def exif(orientation: int, order: str = "<") -> bytes:
    """The smallest EXIF block: one tag."""
    mark = b"II*\x00" if order == "<" else b"MM\x00*"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return mark + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """The block in an APP1 segment right behind the start."""
    body = b"Exif\x00\x00" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def tiff(array: np.ndarray, tags: dict[int, int], order: str = "<") -> bytes:
    """An uncompressed one-strip TIFF with chosen tags (all SHORT, except the strip's offset and size)."""
    body = np.ascontiguousarray(array).astype(array.dtype.newbyteorder(order)).tobytes()
    channels = 1 if array.ndim == 2 else array.shape[2]
    bits = array.dtype.itemsize * 8
    bits_at = 8
    strip_at = bits_at + 2 * channels
    all_tags = {
        256: array.shape[1], 257: array.shape[0], 258: bits, 259: 1, 262: 1 if channels < 3 else 2, 273: strip_at,
        277: channels, 278: array.shape[0], 279: len(body), 284: 1,
    } | tags  # fmt: skip
    entries = b""
    for tag, value in sorted(all_tags.items()):
        if tag == 258 and channels > 2:
            entries += struct.pack(order + "HHII", tag, 3, channels, bits_at)
        elif tag in {273, 279}:
            entries += struct.pack(order + "HHII", tag, 4, 1, value)
        else:
            entries += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    directory = struct.pack(order + "H", len(all_tags)) + entries + struct.pack(order + "I", 0)
    mark = b"II*\x00" if order == "<" else b"MM\x00*"
    bit_list = struct.pack(order + "H", bits) * channels
    return mark + struct.pack(order + "I", strip_at + len(body)) + bit_list + body + directory
