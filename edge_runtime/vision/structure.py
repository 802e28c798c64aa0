"""What the readers of the image containers share."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.domain.errors import ImageError

MAX_PIXELS = 256_000_000
"""More declared pixels than this are refused unread: a few bytes could otherwise ask for all memory."""

MAX_SIDE_PX = 65_535
MAX_JPEG_RATIO = 1_300
"""Pixel bytes per file byte. A block costs one bit at least, and at most ten blocks make a unit of 32 × 16 pixels with
three channels: 1,229. libjpeg paints what a file does not hold, so 600 bytes could keep it busy for seconds."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a container says about its image, after the container was found complete."""

    format: str
    width_px: int
    height_px: int
    bits: int
    """Per channel, 8 or 16, once palettes and smaller depths are expanded."""
    is_grey: bool
    """The file stores one channel (alpha apart)."""
    orientation: int = 1
    patched: bytes | None = None
    """The file as the decoder must see it, where that is not the file itself."""


def require_decodable_size(header: ImageHeader, size_bytes: int) -> None:
    """Refuse empty images and decompression bombs.

    Args:
        header: what the file declares.
        size_bytes: of the file.

    Raises:
        ImageError: no pixels, or too many.
    """
    width, height = header.width_px, header.height_px
    if width < 1 or height < 1:
        raise damaged(header.format, f"it declares {width}×{height} pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            f"the {header.format} file declares {width}×{height} pixels, more than can be inspected",
            f"supply at most {MAX_PIXELS // 1_000_000} megapixels with sides up to {MAX_SIDE_PX} pixels",
        )

    pixel_bytes = width * height * (1 if header.is_grey else 3)
    if header.format == "jpeg" and pixel_bytes > MAX_JPEG_RATIO * size_bytes:
        raise damaged(header.format, f"{size_bytes} bytes cannot hold the {width}×{height} pixels that it declares")


def damaged(container: str, detail: str) -> ImageError:
    """The file is cut or corrupt."""
    return ImageError(
        f"damaged {container} file: {detail}",
        "find out why the file is incomplete or altered (writer killed, disk full, transfer cut) and supply it again",
    )


def unsupported(container: str, detail: str) -> ImageError:
    """The file may be sound, but cannot be decoded faithfully here."""
    return ImageError(
        f"{container} file with {detail} is not supported",
        "save it as grey or RGB with 8 or 16 bits: as PNG, or as an uncompressed TIFF",
    )
