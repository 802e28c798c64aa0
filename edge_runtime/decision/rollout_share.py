"""Which parts a candidate decides: always the same ones, spread evenly, without a coin."""

from __future__ import annotations

import hashlib
from typing import Final

_BYTES: Final = 8
_RANGE: Final = 1 << (8 * _BYTES)


def is_candidates(part_sequence: int, digest: str, share: float) -> bool:
    """Whether the candidate decides this part.

    The same answer on every device, in every run and after every restart, so that anybody can check it from the record:
    the first 8 bytes (big endian) of BLAKE2b-64 over `<digest>:<part_sequence>` in ASCII are below `share` · 2⁶⁴. With
    a larger share it keeps the parts that it has. Another candidate gets other parts.

    Args:
        part_sequence: the part's number in the PLC handshake.
        digest: of the candidate, hexadecimal.
        share: 0…1.
    """
    drawn = hashlib.blake2b(f"{digest}:{part_sequence}".encode("ascii"), digest_size=_BYTES).digest()
    return int.from_bytes(drawn, "big") < share * _RANGE
