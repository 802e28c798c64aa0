"""OpenVINO IR as one payload: `model.xml` and `model.bin` in one piece.

8 bytes   b"EDGE-IR0"
8 bytes   length of the XML, little-endian
…         the XML
…         the weights, to the end
"""

from __future__ import annotations

from typing import Final

from edge_runtime.domain.errors import EngineError

MAGIC: Final = b"EDGE-IR0"
"""No ONNX file begins like this: its first byte is a field number."""

_LENGTH_BYTES: Final = 8
_HEAD_BYTES: Final = len(MAGIC) + _LENGTH_BYTES


def pack_ir(xml: bytes, weights: bytes) -> bytes:
    """Both files as one payload."""
    return MAGIC + len(xml).to_bytes(_LENGTH_BYTES, "little") + xml + weights


def is_ir(model: bytes) -> bool:
    """True for what `pack_ir` made."""
    return model.startswith(MAGIC)


def unpack_ir(model: bytes) -> tuple[bytes, bytes]:
    """XML and weights.

    Raises:
        EngineError: cut short.
    """
    end = _HEAD_BYTES + int.from_bytes(model[len(MAGIC) : _HEAD_BYTES], "little")
    if len(model) < _HEAD_BYTES or end > len(model):
        raise EngineError("the bundle's OpenVINO model is cut short", "convert the bundle again")
    return model[_HEAD_BYTES:end], model[end:]
