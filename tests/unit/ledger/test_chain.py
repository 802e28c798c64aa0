from __future__ import annotations

import hashlib

from edge_runtime.ledger.chain import Genesis, read_genesis, record_hash


def test_the_vector_of_the_documentation() -> None:
    """Whoever writes another verifier from docs/ledger.md gets these very hashes."""
    genesis = Genesis("line-1", "00112233445566778899aabbccddeeff", 0)
    assert genesis.text() == ('{"after":0,"chain":1,"device":"line-1","ledger":"00112233445566778899aabbccddeeff"}')
    assert genesis.hash().hex() == "ac20077f102abcf0d512cbd672c3ecf789e3f1ba22cb7a2630343ef24d42b782"
    first = record_hash(genesis.hash(), 1, "event", b'{"sequence":1}')
    assert first.hex() == "4d27bc6ac268142077a17b189fc1d451768ad6ad8f5b2a994e55deb0c9c08d01"
    assert (
        record_hash(first, 2, "inspection", b'{"sequence":2}').hex()
        == "06e01cf7e2093212644567148fd163da275c7198c083b9c2c774e9c24ca7642a"
    )


def test_the_definition_in_other_words() -> None:
    """Previous hash, number in 8 bytes big endian, channel, line feed, payload; SHA-256 of these bytes."""
    previous = bytes(range(32))
    content = previous + (258).to_bytes(8, "big") + b"inspection\n{}"
    assert record_hash(previous, 258, "inspection", b"{}") == hashlib.sha256(content).digest()


def test_a_genesis_is_read_as_it_was_written() -> None:
    """Also with a device name beyond ASCII."""
    genesis = Genesis("Prüfstand-1", "ab" * 16, 7)
    assert read_genesis(genesis.text()) == genesis
