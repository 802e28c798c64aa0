"""Members of a bundle file: their one allowed ustar header, and a scan that finds where each content lies.

The header of a member follows from its name and size alone, so a reader compares all 512 bytes with what they must
be: no link, device, owner, time stamp or extension header has a place to hide.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.manifest_parts import is_member_name
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    import threading
    from typing import BinaryIO

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""Two zero blocks end the archive, and nothing follows them."""
MEMBERS_LIMIT: Final = 1_000

_REMAKE: Final = "Copy the bundle again from where it was made; if that copy is refused too, make it again."
_REFUSE: Final = "Do not use this file: it was not written by `edge-convert`."
_TYPES: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a FIFO",
    b"L": "a GNU long name",
    b"K": "a GNU long link",
    b"x": "a pax header",
    b"g": "a global pax header",
}


@dataclass(frozen=True, slots=True)
class Member:
    """Where one member's content lies in the file."""

    name: str
    offset: int
    """Of the first content byte, from the start of the file."""
    size_bytes: int


def header(name: str, size_bytes: int) -> bytes:
    """The ustar header of a member: mode 0644, owner 0/0 without names, time 0, ordinary file."""
    entry = tarfile.TarInfo(name)
    entry.size = size_bytes
    entry.mode = 0o644
    return entry.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(size_bytes: int) -> bytes:
    """Zeros from the end of the content to the next block."""
    return bytes(-size_bytes % BLOCK)


def scan(file: BinaryIO, file_size: int, where: str) -> list[Member]:
    """Find every member, in file order, reading headers only.

    Raises:
        BundleError: anything but plain uniquely named files, then exactly two zero blocks, then the end of the file.
        OSError: the file cannot be read.
    """
    members: dict[str, Member] = {}
    position = 0
    while True:
        file.seek(position)
        block = file.read(BLOCK)
        if block == END[:BLOCK]:
            _check_end(file, position, file_size, where)
            return list(members.values())
        if len(block) < BLOCK:
            raise BundleError(f"{where} is cut off at byte {position + len(block)}", _REMAKE)
        member = _parse(block, position, where)
        if member.name in members:
            raise BundleError(f"{where} contains {member.name!r} twice", _REFUSE)
        position = member.offset + member.size_bytes
        position += -position % BLOCK
        if position > file_size:
            raise BundleError(f"{where} is cut off inside {member.name!r} (at byte {file_size})", _REMAKE)
        if len(members) == MEMBERS_LIMIT:
            raise BundleError(f"{where} has more than {MEMBERS_LIMIT} members", _REFUSE)
        members[member.name] = member


def read_member(file: BinaryIO, member: Member, where: str, lock: threading.Lock) -> bytes:
    """Content of a member.

    Raises:
        BundleError: shorter than its header says, the file is closed or cannot be read.
    """
    try:
        with lock:
            file.seek(member.offset)
            content = file.read(member.size_bytes)
    except (OSError, ValueError) as error:  # ValueError: the bundle was closed
        raise BundleError(f"{where}: cannot read {member.name!r}: {error}", "Check the storage medium.") from error
    if len(content) != member.size_bytes:
        raise BundleError(f"{where} is cut off inside {member.name!r}", _REMAKE)
    return content


def _check_end(file: BinaryIO, position: int, file_size: int, where: str) -> None:
    if position + len(END) > file_size:
        raise BundleError(f"{where} is cut off at its end", _REMAKE)
    file.seek(position)
    if position + len(END) < file_size or file.read(len(END)) != END:
        raise BundleError(f"{where} goes on behind its end (byte {position})", _REFUSE)


def _parse(block: bytes, position: int, where: str) -> Member:
    try:
        name = block[:100].rstrip(b"\0").decode("ascii")
        size_bytes = int(block[124:135].decode("ascii"), 8)
    except ValueError as error:
        if position == 0:
            raise BundleError(f"{where} is not a bundle", "Name a bundle made by `edge-convert`.") from error
        raise BundleError(f"{where} has no readable member header at byte {position}", _REMAKE) from error
    kind = block[156:157]
    if kind in _TYPES:
        raise BundleError(f"{where}: {name!r} is {_TYPES[kind]}; a bundle holds plain files only", _REFUSE)
    if not is_member_name(name):
        raise BundleError(f"{where}: {name!r} is not an allowed member name", _REFUSE)
    if size_bytes < 0 or block != header(name, size_bytes):
        raise BundleError(f"{where}: the header of {name!r} is damaged or not the one that a bundle has", _REMAKE)
    return Member(name, position + BLOCK, size_bytes)
