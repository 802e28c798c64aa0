"""The frames that are timed: the bundle's own golden images or a folder's, brought to the camera's size and form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from edge_convert.images import SUFFIXES, load_image
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Resize
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.encode import encode_jpeg
from edge_runtime.vision.structure import MAX_PIXELS

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec, ModelBundle, PayloadReader

USUAL_PX: Final = (1200, 1920)
"""Height and width of the camera that is usual on such lines (2.3 megapixels)."""
_MOST: Final = 8
_JPEG_QUALITY: Final = 90
_GREY: Final = 2


@dataclass(frozen=True, slots=True)
class FrameForm:
    """What the camera delivers."""

    size_px: tuple[int, int] | None = None
    """Height and width; None: `USUAL_PX`, or the images' own where the bundle looks at a fixed place in the frame."""
    mono: bool = False
    bits: int = 8
    jpeg: bool = False
    """The frame comes as a JPEG and is decoded on the way to the verdict."""

    def __str__(self) -> str:
        """For a table."""
        colour = "mono" if self.mono else "colour"
        return f"{colour}, {self.bits} bit{', from JPEG' if self.jpeg else ''}"


@dataclass(frozen=True, slots=True)
class BenchFrame:
    """One frame."""

    pixels: Exposure
    """Read-only. Of a JPEG, as it is decoded."""
    jpeg: bytes | None
    """The file, where the frame comes as one."""


def bench_frames(
    bundle: ModelBundle, payloads: PayloadReader, form: FrameForm, folder: Path | None
) -> list[BenchFrame]:
    """Up to eight frames, each another image.

    Raises:
        ConfigError: the form makes no sense, or the folder holds no image.
        ImageError: an image cannot be read.
    """
    if form.jpeg and form.bits != 8:  # noqa: PLR2004  (a byte)
        raise ConfigError("a JPEG has 8 bits", "Leave out --bits, or --jpeg.")
    if form.size_px is not None and not 0 < form.size_px[0] * form.size_px[1] <= MAX_PIXELS:
        raise ConfigError(
            f"no camera has frames of {form.size_px[1]}×{form.size_px[0]} pixels",
            f"State 1 to {MAX_PIXELS // 1_000_000} million pixels with --frame.",
        )
    images = _folder_images(folder) if folder is not None else _golden_images(bundle, payloads)
    size_px = form.size_px or _usual_size(bundle.input_spec)
    return [_framed(image, form, size_px) for image in images]


def _golden_images(bundle: ModelBundle, payloads: PayloadReader) -> list[Exposure]:
    if not bundle.golden:
        raise ConfigError(f"bundle {bundle.identity.name} carries no images", "Name a folder with --images.")
    return [decode_image(payloads.read(golden.payload)).array for golden in bundle.golden[:_MOST]]


def _folder_images(folder: Path) -> list[Exposure]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ConfigError(f"{folder} holds no images", "Name a folder with images, or leave out --images.")
    return [load_image(path) for path in found[:: max(1, len(found) // _MOST)][:_MOST]]


def _usual_size(spec: InputSpec) -> tuple[int, int] | None:
    fixed = spec.region is not None or spec.mask is not None or spec.resize is Resize.NONE
    return None if fixed else USUAL_PX


def _framed(image: Exposure, form: FrameForm, size_px: tuple[int, int] | None) -> BenchFrame:
    pixels: Any = image
    if size_px is not None and pixels.shape[:2] != size_px:
        pixels = np.asarray(cv2.resize(pixels, size_px[::-1], interpolation=cv2.INTER_CUBIC))
    if form.mono and pixels.ndim > _GREY:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    elif not form.mono and pixels.ndim == _GREY:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
    pixels = _in_bits(pixels, form.bits)
    jpeg = encode_jpeg(pixels, _JPEG_QUALITY) if form.jpeg else None
    if jpeg is not None:
        pixels = decode_image(jpeg).array
    pixels = np.ascontiguousarray(pixels)
    pixels.flags.writeable = False
    return BenchFrame(pixels, jpeg)


def _in_bits(pixels: Any, bits: int) -> Any:
    """The same picture with 8 or 16 bits; 16 carry noise in the lower byte, as a camera's do."""
    if pixels.dtype == np.uint16 and bits == 8:  # noqa: PLR2004  (a byte)
        return (pixels >> 8).astype(np.uint8)
    if pixels.dtype == np.uint8 and bits == 16:  # noqa: PLR2004  (two bytes)
        low = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint16)
        return (pixels.astype(np.uint16) << 8) | low
    return pixels
