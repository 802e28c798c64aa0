"""The tag directory that TIFF files and EXIF blocks share (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from typing import TypeAlias

Tags: TypeAlias = dict[int, tuple[int, ...]]
"""Tag number → its integer values."""

_INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}
"""BYTE, SHORT, LONG: the only types of the tags that matter here."""

_SHORT = 3
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


def directory_count(data: bytes, at_most: int = 100) -> int:
    """Directories (pages) in the chain; stops counting at `at_most`, so that a chain in a circle ends.

    Raises:
        ValueError: not such a structure, or the chain leads outside `data`.
    """
    order = byte_order(data)
    (start,) = _unpack(order + "I", data, 4)
    pages = 0
    while start and pages < at_most:
        pages += 1
        (count,) = _unpack(order + "H", data, start)
        (start,) = _unpack(order + "I", data, start + 2 + count * _ENTRY_BYTES)
    return pages


def with_inline_value(data: bytes, tag: int, value: int) -> bytes:
    """A copy in which a tag of the first directory that is one SHORT has another value.

    Raises:
        ValueError: not such a structure, or no such tag.
    """
    order = byte_order(data)
    (start,) = _unpack(order + "I", data, 4)
    (count,) = _unpack(order + "H", data, start)
    for entry in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        if _unpack(order + "HHI", data, entry) == (tag, _SHORT, 1):
            return data[: entry + 8] + struct.pack(order + "H", value) + data[entry + 10 :]
    message = f"tag {tag} is not one 16-bit number"
    raise ValueError(message)


def _unpack(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as error:
        message = f"the directory points beyond the end (byte {at})"
        raise ValueError(message) from error
