"""Names and order of the members of a format-1 file, and its length, which follow from what is signed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.members import BLOCK, END, MEMBERS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_runtime.domain.model_bundle import PayloadRef

MANIFEST_NAME: Final = "release.json"
METADATA_FOLDER: Final = "metadata/"
PAYLOAD_FOLDER: Final = "targets/"

ROOTS_LIMIT: Final = 256
"""New roots that a device follows at once."""
CONTENTS_LIMIT: Final = MEMBERS_LIMIT - ROOTS_LIMIT - 4
"""Different payloads of a release: room is left for roots, for the other metadata and for `release.json`."""

_ROOT: Final = re.compile(r"metadata/([1-9][0-9]{0,8})\.root\.json")
_REST: Final = (
    re.compile(r"metadata/timestamp\.json"),
    re.compile(r"metadata/[1-9][0-9]{0,15}\.snapshot\.json"),
    re.compile(r"metadata/[1-9][0-9]{0,15}\.targets\.json"),
)


def target_path(product: str) -> str:
    """Under which signed metadata lists the current release of a product."""
    return f"{product}/{MANIFEST_NAME}"


def contents(payloads: Iterable[PayloadRef]) -> list[PayloadRef]:
    """Each content once, in the order of first mention: payloads with the same digest are one member."""
    found: dict[str, PayloadRef] = {}
    for payload in payloads:
        found.setdefault(payload.sha256, payload)
    return list(found.values())


def file_length(sizes: Iterable[int]) -> int:
    """Bytes of a whole file whose members have these sizes, in any order."""
    return sum(BLOCK + size + -size % BLOCK for size in sizes) + len(END)


def metadata_count(names: Sequence[str]) -> int:
    """How many members at the beginning are metadata: roots N, N+1, …, then timestamp, snapshot, targets.

    Returns:
        Their number; 0 where the file does not begin so, or goes on with anything but `release.json`.
    """
    first = _ROOT.fullmatch(names[0]) if names else None
    if first is None:
        return 0
    roots = 1
    while roots < len(names) and names[roots] == f"{METADATA_FOLDER}{int(first[1]) + roots}.root.json":
        roots += 1
    rest = names[roots : roots + len(_REST)]
    count = roots + len(_REST)
    if len(names) <= count or names[count] != MANIFEST_NAME:
        return 0
    return count if all(pattern.fullmatch(name) for pattern, name in zip(_REST, rest, strict=True)) else 0
