"""The hash chain: each record's hash covers its content, its number and the hash of the record before it.

The definition is in docs/ledger.md, with a test vector: another program can verify a ledger, an export, or the messages
that a subscriber has kept. Pure functions.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

CHAIN_VERSION = 1
HASH_BYTES = 32
_GENESIS_TAG = b"edge_runtime ledger genesis\n"


@dataclass(frozen=True, slots=True)
class Genesis:
    """Where a chain begins."""

    device: str
    """The device whose records follow."""
    ledger: str
    """Drawn at random when the ledger was made: two ledgers never share a chain."""
    after: int
    """The first record of the chain is one higher."""

    def text(self) -> str:
        """Canonical JSON: keys ascending, no spaces, UTF-8 without escapes."""
        content = {"after": self.after, "chain": CHAIN_VERSION, "device": self.device, "ledger": self.ledger}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def hash(self) -> bytes:
        """What the first record takes as the hash before it."""
        return hashlib.sha256(_GENESIS_TAG + self.text().encode()).digest()


def read_genesis(text: str) -> Genesis:
    """The genesis in `text`.

    Raises:
        ValueError: it is none of ours.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("chain") != CHAIN_VERSION:
        message = "this is no genesis of a chain that this version knows"
        raise ValueError(message)
    return Genesis(str(content["device"]), str(content["ledger"]), int(content["after"]))


def record_hash(previous: bytes, sequence: int, channel: str, payload: bytes) -> bytes:
    """SHA-256 of: `previous` (32 bytes), `sequence` (8 bytes, big endian), `channel` (ASCII), a line feed, `payload`.

    No two records have the same bytes under the hash: the first two fields have a fixed length, a channel holds no
    line feed, and the payload is the rest.

    Args:
        previous: hash of the record numbered one lower, or of the genesis.
        sequence: the record's number, 1…2⁶³−1.
        channel: last level of its topic.
        payload: the JSON exactly as it was committed and published.
    """
    return hashlib.sha256(previous + sequence.to_bytes(8, "big") + channel.encode("ascii") + b"\n" + payload).digest()
