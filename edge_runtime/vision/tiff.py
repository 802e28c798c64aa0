"""TIFF: the plain kinds that cameras write, with every strip or tile inside the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.vision.exif import ORIENTATION_TAG, orientation_in
from edge_runtime.vision.structure import ImageHeader, damaged, unsupported
from edge_runtime.vision.tiff_tags import directory_count, read_first_directory, with_inline_value

if TYPE_CHECKING:
    from edge_runtime.vision.tiff_tags import Tags

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _CHANNELS, _STRIP_BYTES, _PLANAR = 273, 277, 279, 284
_TILE_OFFSETS, _TILE_BYTES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 324, 325, 338, 339
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32_773: "PackBits", 32_946: "deflate"}
_UNCOMPRESSED = 1
_BLACK_IS_ZERO, _RGB, _PALETTE = 1, 2, 3
_COLOURS = {0: "white as zero", 4: "a transparency mask", 5: "CMYK colours", 6: "YCbCr colours", 8: "CIELAB colours"}
_UNSIGNED = 1
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2


def read_header(data: bytes) -> ImageHeader:
    """Check the kind of TIFF and that all its pixel data is there.

    Raises:
        ImageError: truncated, or a kind of TIFF that cannot be decoded faithfully.
    """
    try:
        tags = read_first_directory(data)
        pages = directory_count(data)
        patched = _as_stored(data, tags)
    except ValueError as error:
        raise damaged("tiff", str(error)) from error
    if pages > 1:
        raise unsupported("tiff", f"{pages} pages")
    width, height = _one(tags, _WIDTH), _one(tags, _HEIGHT)
    _require_plain(tags)
    _require_pixel_data(tags, data)
    grey = _one(tags, _PHOTOMETRIC) == _BLACK_IS_ZERO
    return ImageHeader(
        "tiff",
        width,
        height,
        bits=_one(tags, _BITS, 1),
        is_grey=grey,
        orientation=orientation_in(tags),
        patched=patched,
    )


def _one(tags: Tags, tag: int, default: int | None = None) -> int:
    values = tags.get(tag, () if default is None else (default,))
    if not values:
        raise damaged("tiff", f"tag {tag} is missing")
    return values[0]


def _require_plain(tags: Tags) -> None:
    compression = _one(tags, _COMPRESSION, _UNCOMPRESSED)
    if compression not in _COMPRESSIONS:
        raise unsupported("tiff", f"compression {compression}")
    photometric = _one(tags, _PHOTOMETRIC)
    if photometric not in {_BLACK_IS_ZERO, _RGB, _PALETTE}:
        known = _COLOURS.get(photometric, "unknown colours")
        raise unsupported("tiff", f"{known} (photometric interpretation {photometric})")
    if set(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))) != {_UNSIGNED}:
        raise unsupported("tiff", "signed or floating-point samples")
    bits = set(tags.get(_BITS, (1,)))
    if bits not in ({8}, {16}) or (photometric == _PALETTE and bits != {8}):
        raise unsupported("tiff", f"{' and '.join(str(each) for each in sorted(bits))} bits per sample")
    if _one(tags, _PLANAR, 1) != 1:
        raise unsupported("tiff", "separate colour planes")


def _require_pixel_data(tags: Tags, data: bytes) -> None:
    offsets = tags.get(_STRIP_OFFSETS) or tags.get(_TILE_OFFSETS) or ()
    sizes = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES) or ()
    if not offsets or len(offsets) != len(sizes):
        raise damaged("tiff", "its strips or tiles are not listed")
    for offset, size in zip(offsets, sizes, strict=True):
        if size == 0 or offset + size > len(data):
            raise damaged("tiff", f"its pixel data at byte {offset} is cut off")
    if _one(tags, _COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        pixel_bytes = _one(tags, _CHANNELS, 1) * _one(tags, _BITS, 1) // 8
        expected = _one(tags, _WIDTH) * _one(tags, _HEIGHT) * pixel_bytes
        if sum(sizes) < expected:
            raise damaged("tiff", f"it lists {sum(sizes)} of {expected} bytes of pixels")


def _as_stored(data: bytes, tags: Tags) -> bytes:
    """The file with the tags changed on which OpenCV's TIFF reader would alter pixels, whatever it is told.

    It turns them by the orientation (ours to apply, once) and multiplies them by an unassociated alpha (ours to drop).
    """
    if ORIENTATION_TAG in tags:
        data = with_inline_value(data, ORIENTATION_TAG, 1)
    if _UNASSOCIATED_ALPHA in tags.get(_EXTRA_SAMPLES, ()):
        data = with_inline_value(data, _EXTRA_SAMPLES, _ASSOCIATED_ALPHA)
    return data
