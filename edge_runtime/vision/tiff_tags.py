"""The tag directory that TIFF files and EXIF blocks share (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from typing import TypeAlias

Tags: TypeAlias = dict[int, tuple[int, ...]]
"""Tag number → its integer values."""

_INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}
"""BYTE, SHORT, LONG: the only types of the tags that matter here."""

_HEADER_BYTES = 8
_ENTRY_BYTES = 12
_INLINE_BYTES = 4


def read_first_directory(data: bytes) -> Tags:
    """Integer tags of the first directory; tags of other types are left out.

    Raises:
        ValueError: not such a structure, or it points outside `data`.
    """
    order = byte_order(data)
    (start,) = _unpack(order + "I", data, 4)
    (count,) = _unpack(order + "H", data, start)
    tags: Tags = {}
    for index in range(count):
        entry = start + 2 + index * _ENTRY_BYTES
        tag, kind, values = _unpack(order + "HHI", data, entry)
        code = _INTEGER_TYPES.get(kind)
        if code is None:
            continue
        size = struct.calcsize(code) * values
        at = entry + 8 if size <= _INLINE_BYTES else _unpack(order + "I", data, entry + 8)[0]
        if at + size > len(data):
            message = f"tag {tag} points beyond the end"
            raise ValueError(message)
        tags[tag] = _unpack(f"{order}{values}{code}", data, at)
    return tags


def byte_order(data: bytes) -> str:
    """`struct` prefix of the stated byte order.

    Raises:
        ValueError: no TIFF signature.
    """
    if len(data) >= _HEADER_BYTES:
        if data[:4] == b"II*\x00":
            return "<"
        if data[:4] == b"MM\x00*":
            return ">"
    message = "no TIFF signature"
    raise ValueError(message)


def offset_of_value(data: bytes, wanted: int) -> int | None:
    """Byte offset of the inline value of a tag of the first directory; None if the tag is absent.

    Raises:
        ValueError: not such a structure.
    """
    order = byte_order(data)
    (start,) = _unpack(order + "I", data, 4)
    (count,) = _unpack(order + "H", data, start)
    for entry in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        if _unpack(order + "H", data, entry)[0] == wanted:
            return entry + 8
    return None


def _unpack(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as error:
        message = f"the directory points beyond the end (byte {at})"
        raise ValueError(message) from error
