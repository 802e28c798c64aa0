"""A damaged file never becomes half an image."""

from __future__ import annotations

from contextlib import suppress

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.domain.errors import ImageError
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.encode import encode_jpeg


def _picture(dtype: type, channels: int) -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    planes = np.stack([(x * (k + 2) + y * 3) % 200 for k in range(channels)], axis=-1)
    noise = np.random.default_rng(channels).integers(0, 50, planes.shape)
    array = ((planes + noise) * (1 if dtype is np.uint8 else 256)).astype(dtype)
    return array[..., 0] if channels == 1 else array


def _encode(extension: str, dtype: type, channels: int, *flags: int) -> bytes:
    return bytes(cv2.imencode(extension, _picture(dtype, channels), flags)[1])


FILES = {
    "jpeg colour": encode_jpeg(_picture(np.uint8, 3), 90),
    "jpeg mono": encode_jpeg(_picture(np.uint8, 1), 90),
    "jpeg progressive": _encode(".jpg", np.uint8, 3, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "jpeg with restarts": _encode(".jpg", np.uint8, 3, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "bmp mono": _encode(".bmp", np.uint8, 1),
    "bmp colour": _encode(".bmp", np.uint8, 3),
    "bmp alpha": _encode(".bmp", np.uint8, 4),
    "webp lossless": _encode(".webp", np.uint8, 3, cv2.IMWRITE_WEBP_QUALITY, 101),
    "webp lossy": _encode(".webp", np.uint8, 3, cv2.IMWRITE_WEBP_QUALITY, 80),
    "webp alpha": _encode(".webp", np.uint8, 4, cv2.IMWRITE_WEBP_QUALITY, 80),
    **{
        f"{extension} {np.dtype(dtype).name} {channels} {flags}": _encode(extension, dtype, channels, *flags)
        for extension, all_flags in {
            ".png": [()],
            ".tiff": [(cv2.IMWRITE_TIFF_COMPRESSION, kind) for kind in (1, 5, 8, 32773)],
        }.items()
        for flags in all_flags
        for dtype in (np.uint8, np.uint16)
        for channels in (1, 3, 4)
    },
}
WHOLE = {name: decode_image(data).array for name, data in FILES.items()}
names = st.sampled_from(sorted(FILES))


@settings(deadline=None, max_examples=600)
@given(name=names, share=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_cut_file_is_refused_or_complete(name: str, share: float) -> None:
    """Wherever any format is cut, the answer is ImageError or exactly the whole image."""
    data = FILES[name]
    try:
        decoded = decode_image(data[: int(len(data) * share)])
    except ImageError:
        return
    np.testing.assert_array_equal(decoded.array, WHOLE[name])


def test_the_last_bytes_of_every_file_count() -> None:
    """The last 64 bytes, one at a time, where a transfer is cut most deceptively."""
    for name, data in FILES.items():
        for lost in range(1, 65):
            try:
                decoded = decode_image(data[:-lost])
            except ImageError:
                continue
            np.testing.assert_array_equal(decoded.array, WHOLE[name], err_msg=f"{name} without its last {lost} bytes")


def test_a_jpeg_cut_anywhere_is_refused() -> None:
    """Every single length of a JPEG, baseline and progressive: none decodes."""
    for name in ("jpeg colour", "jpeg progressive", "jpeg with restarts"):
        data = FILES[name]
        step = max(len(data) // 1_500, 1)
        for length in [*range(0, len(data) - 200, step), *range(len(data) - 200, len(data))]:
            try:
                decode_image(data[:length])
            except ImageError:
                continue
            raise AssertionError(f"{name} of {length} of {len(data)} bytes was decoded")


@settings(deadline=None, max_examples=600)
@given(name=names, data=st.data())
def test_altered_bytes_never_escape_as_anything_but_an_image_error(name: str, data: st.DataObject) -> None:
    """Random damage gives ImageError or some exposure of a legal kind; PNG's checksums let no altered pixel pass."""
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        array = decode_image(bytes(content)).array
    except ImageError:
        return
    assert array.dtype in (np.uint8, np.uint16)
    assert array.ndim == 2 or array.shape[2] == 3
    if name.startswith(".png"):
        np.testing.assert_array_equal(array, WHOLE[name])


@settings(deadline=None, max_examples=300)
@given(junk=st.binary(max_size=200), signature=st.sampled_from([b"", *{data[:12] for data in FILES.values()}]))
def test_junk_behind_a_signature_is_an_image_error(junk: bytes, signature: bytes) -> None:
    """Bytes that merely begin like an image never raise anything else."""
    with suppress(ImageError):
        decode_image(signature + junk)
