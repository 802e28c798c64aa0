"""Damaging bytes at random, repeatably: bits, lengths, pieces of other samples, and words that parsers dislike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

LARGEST_BYTES: Final = 400_000
_EDGES: Final = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    2**63,
    2**64 - 1,
)
_WORDS: Final = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b"-0.0",
    b"9" * 400,
    b"0x7fffffff",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[" * 3_000,
    b"{'a':" * 500,
    b"\n[a]\n",
    b"=",
    b"..",
    b"/",
    b"%s%n",
    b"true",
    b"A" * 70_000,
)


def mutated(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """`data` with one to six changes; at most `LARGEST_BYTES`."""
    result = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        dice.choice(_CHANGES)(result, others, dice)
    return bytes(result[:LARGEST_BYTES])


def _place(data: bytearray, dice: random.Random) -> int:
    # Headers are at the beginning, and that is where the decisions are.
    if dice.random() < 0.4:
        return dice.randrange(min(len(data), 64) + 1)
    return dice.randrange(len(data) + 1)


def _flip(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    if data:
        data[min(_place(data, dice), len(data) - 1)] ^= 1 << dice.randrange(8)


def _set(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    if data:
        data[min(_place(data, dice), len(data) - 1)] = dice.randrange(256)


def _edge(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    width = dice.choice((1, 2, 4, 8))
    value = dice.choice(_EDGES) & ((1 << 8 * width) - 1)
    at = _place(data, dice)
    data[at : at + width] = value.to_bytes(width, dice.choice(("big", "little")))


def _number(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    """Another value for a number in a text."""
    places = [at for at, byte in enumerate(data[:20_000]) if 0x30 <= byte <= 0x39]
    if places:
        at = dice.choice(places)
        data[at : at + 1] = dice.choice(
            (b"-1", b"1e999", b"null", b"99999999999999999999", b"0.5", b'"x"', b"true", b"[]")
        )


def _insert(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    at = _place(data, dice)
    data[at:at] = dice.choice(_WORDS) if dice.random() < 0.6 else dice.randbytes(dice.randrange(1, 20))


def _drop(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 2, 4, 16, 64, 512))]


def _cut(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    del data[_place(data, dice) :]


def _repeat(data: bytearray, _others: Sequence[bytes], dice: random.Random) -> None:
    at = _place(data, dice)
    piece = data[at : at + dice.choice((1, 4, 32, 256))]
    data[at:at] = piece * dice.choice((1, 2, 50))


def _splice(data: bytearray, others: Sequence[bytes], dice: random.Random) -> None:
    """The rest of another sample."""
    other = dice.choice(others)
    at = _place(data, dice)
    data[at:] = other[dice.randrange(len(other) + 1) :]


_CHANGES: Final[tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...]] = (
    _flip,
    _flip,
    _set,
    _edge,
    _edge,
    _number,
    _insert,
    _drop,
    _cut,
    _repeat,
    _splice,
)
