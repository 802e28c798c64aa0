from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from image_files import HEIGHT, WIDTH, exif, opencv_file, pixels, png, png_chunk, tiff, with_exif

from edge_runtime.domain.errors import ImageError
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.encode import encode_jpeg, encode_png
from edge_runtime.vision.structure import MAX_PIXELS


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """What each orientation means, in words of the TIFF specification: where row 0 and column 0 of the file belong."""
    return {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.swapaxes(0, 1),
        6: np.rot90(array, -1),
        7: array.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(array, 1),
    }[orientation]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension", [".png", ".tiff", ".bmp", ".webp"])
def test_lossless_formats_give_back_every_pixel(extension: str, channels: int, dtype: type) -> None:
    """PNG and TIFF keep 8 and 16 bit, BMP and WebP 8 bit, each in mono (where the format has it) and colour."""
    if dtype is np.uint16 and extension in {".bmp", ".webp"}:
        dtype = np.uint8
    array = pixels(dtype, channels)
    flags = (cv2.IMWRITE_WEBP_QUALITY, 101) if extension == ".webp" else ()
    decoded = decode_image(opencv_file(extension, array, *flags))
    expected = np.repeat(array[..., None], 3, axis=2) if extension == ".webp" and channels == 1 else array
    np.testing.assert_array_equal(decoded.array, expected)
    assert decoded.array.dtype == dtype
    assert decoded.orientation == 1
    assert decoded.format == extension[1:]


@pytest.mark.parametrize("compression", [1, 5, 8, 32773], ids=["none", "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_compressions_that_can_be_checked_are_read(compression: int, dtype: type) -> None:
    """Uncompressed, LZW, deflate and PackBits, at both depths."""
    array = pixels(dtype, 3)
    data = opencv_file(".tiff", array, cv2.IMWRITE_TIFF_COMPRESSION, compression)
    np.testing.assert_array_equal(decode_image(data).array, array)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_both_byte_orders_is_read(dtype: type, order: str) -> None:
    """Cameras write either."""
    array = pixels(dtype, 3)
    np.testing.assert_array_equal(decode_image(tiff(array, {}, order)).array, array)


def test_arrays_are_read_only_and_contiguous() -> None:
    """Nobody downstream can alter a frame, whatever turned it."""
    for data in (encode_png(pixels(np.uint8, 3)), with_exif(encode_jpeg(pixels(np.uint8, 3), 90), exif(6))):
        array = decode_image(data).array
        assert not array.flags.writeable
        assert array.flags.c_contiguous


def test_jpeg_is_close_to_what_was_encoded() -> None:
    """Colour keeps its channel order; grey stays one channel."""
    smooth = cv2.GaussianBlur(pixels(np.uint8, 3), (0, 0), 5)
    smooth[..., 0] //= 3  # a clear colour, so that swapped channels would show
    colour = decode_image(encode_jpeg(smooth, 95)).array
    assert np.abs(colour.astype(int) - smooth.astype(int)).mean() < 3
    grey = decode_image(encode_jpeg(smooth[..., 1], 95)).array
    assert grey.shape == (HEIGHT, WIDTH)
    assert np.abs(grey.astype(int) - smooth[..., 1].astype(int)).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_applied_once_and_recorded(orientation: int, order: str) -> None:
    """All eight EXIF orientations, from JPEG, PNG and TIFF, in both byte orders."""
    array = pixels(np.uint8, 3)
    plain_jpeg = encode_jpeg(array, 95)
    plain_png = encode_png(array)
    ihdr_end = 8 + 25
    files = {
        "jpeg": (with_exif(plain_jpeg, exif(orientation, order)), decode_image(plain_jpeg).array),
        "png": (plain_png[:ihdr_end] + png_chunk(b"eXIf", exif(orientation, order)) + plain_png[ihdr_end:], array),
        "tiff": (tiff(array, {274: orientation}, order), array),
    }
    for name, (data, stored) in files.items():
        decoded = decode_image(data)
        np.testing.assert_array_equal(decoded.array, upright(stored, orientation), err_msg=name)
        assert decoded.orientation == orientation


@pytest.mark.parametrize(
    "block", [b"", b"II*\x00", exif(0), exif(9), exif(6)[:12], b"II*\x00\xff\xff\xff\xff", b"XX*\x00" + exif(6)[4:]]
)
def test_broken_exif_beside_sound_pixels_means_upright(block: bytes) -> None:
    """A note that cannot be read costs no part."""
    decoded = decode_image(with_exif(encode_jpeg(pixels(np.uint8, 3), 90), block))
    assert decoded.orientation == 1
    assert decoded.array.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extension", [".png", ".tiff", ".webp"])
def test_alpha_is_dropped_and_colours_are_untouched(extension: str, dtype: type) -> None:
    """Transparent pixels keep the colour that the file stores."""
    if extension == ".webp":
        dtype = np.uint8
    array = pixels(dtype, 4)
    array[..., 3] = np.where(np.arange(WIDTH) % 3 == 0, 1, np.iinfo(dtype).max)
    flags = (cv2.IMWRITE_WEBP_QUALITY, 101) if extension == ".webp" else ()
    decoded = decode_image(opencv_file(extension, array, *flags)).array
    np.testing.assert_array_equal(decoded, array[..., :3])


def test_unassociated_alpha_in_tiff_does_not_darken_the_colours() -> None:
    """OpenCV's reader would multiply the colours by it."""
    array = pixels(np.uint8, 4)
    array[..., 3] = 60
    np.testing.assert_array_equal(decode_image(tiff(array, {338: 2})).array, array[..., :3])


def test_palette_is_expanded_to_colours() -> None:
    """Palette entries, not palette numbers; a palette of greys in BMP is mono."""
    indices = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 4
    palette = np.array([[255, 0, 0], [0, 250, 0], [0, 0, 245], [9, 8, 7]], dtype=np.uint8)
    rows = b"".join(b"\x00" + row.tobytes() for row in indices)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    data = png(header, zlib.compress(rows), png_chunk(b"PLTE", palette.tobytes()))
    np.testing.assert_array_equal(decode_image(data).array, palette[indices])
    grey = pixels(np.uint8, 1)
    np.testing.assert_array_equal(decode_image(opencv_file(".bmp", grey)).array, grey)


@pytest.mark.parametrize("missing", [1, 100, 0.5])
def test_png_whose_pixel_stream_stops_early_is_refused_although_every_checksum_is_right(missing: float) -> None:
    """A writer that was killed can leave sound chunks around half a picture."""
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels(np.uint8, 3))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    stream = zlib.compress(rows)
    kept = len(stream) // 2 if missing == 0.5 else len(stream) - int(missing)
    with pytest.raises(ImageError):
        decode_image(png(header, stream[:kept]))
    with pytest.raises(ImageError):
        decode_image(png(header, zlib.compress(rows[: len(rows) // 2])))


def test_jpeg_cut_inside_its_scan_is_refused_although_its_thumbnail_ends_properly() -> None:
    """The end marker of a thumbnail in the EXIF block is not the end of the picture."""
    thumbnail = encode_jpeg(pixels(np.uint8, 3)[::2, ::2], 50)
    whole = with_exif(encode_jpeg(pixels(np.uint8, 3), 95), exif(1) + thumbnail)
    assert decode_image(whole).array.shape == (HEIGHT, WIDTH, 3)
    for cut in (len(whole) - 2, len(whole) - 40):
        with pytest.raises(ImageError):
            decode_image(whole[:cut])


def test_jpeg_cut_and_closed_with_an_end_marker_is_refused() -> None:
    """Some writers append the end marker to whatever they have."""
    whole = encode_jpeg(pixels(np.uint8, 3), 95)
    for share in (0.6, 0.8, 0.95):
        with pytest.raises(ImageError):
            decode_image(whole[: int(len(whole) * share)] + b"\xff\xd9")


def test_corrupt_entropy_data_of_a_jpeg_is_refused() -> None:
    """A block of zeros in the scan, as a lost packet or a bad sector leaves it."""
    noisy = np.random.default_rng(8).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    whole = encode_jpeg(noisy, 90)
    middle = len(whole) // 2
    with pytest.raises(ImageError):
        decode_image(whole[:middle] + bytes(4096) + whole[middle + 4096 :])


def test_padding_after_a_jpeg_is_no_damage() -> None:
    """Cameras fill their blocks."""
    whole = encode_jpeg(pixels(np.uint8, 3), 90)
    np.testing.assert_array_equal(decode_image(whole + bytes(9000)).array, decode_image(whole).array)


def _bomb_png(width: int, height: int) -> bytes:
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(bytes(1000)))


def _bomb_bmp(width: int, height: int) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def _bomb_jpeg(width: int, height: int) -> bytes:
    data = bytearray(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("make", [_bomb_png, _bomb_jpeg], ids=["png", "jpeg"])
def test_too_many_declared_pixels_are_refused_unread(make) -> None:
    """A few bytes cannot ask for gigabytes."""
    with pytest.raises(ImageError, match=r"60000×60000 pixels, more than"):
        decode_image(make(60_000, 60_000))
    assert MAX_PIXELS < 60_000 * 60_000


def test_no_pixels_is_damage() -> None:
    """Width or height 0 is refused by name."""
    for data in (_bomb_png(0, 5), _bomb_bmp(0, 5), _bomb_bmp(5, 0), _bomb_bmp(-5, 5)):
        with pytest.raises(ImageError):
            decode_image(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(100), "47 49 46"),
        (b"just text, no image", "not an image"),
        (b"\xff\xd8\xff", "damaged jpeg"),
        (b"BM", "damaged bmp"),
        (b"II*\x00", "damaged tiff"),
        (b"RIFF\x10\x00\x00\x00WAVE" + bytes(8), "WAVE"),
        (b"\x89PNG\r\n\x1a\n", "damaged png"),
    ],
)
def test_what_is_no_image_is_refused_by_name(data: bytes, said: str) -> None:
    """The message says what was found, the action what to do."""
    with pytest.raises(ImageError, match=said) as caught:
        decode_image(data)
    assert caught.value.action


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encode_jpeg(pixels(np.uint8, 3), 90)[:-2], "end-of-image marker"),
        (encode_png(pixels(np.uint8, 3))[:-12], "ends before IEND"),
        (encode_png(pixels(np.uint8, 3))[:-14], "ends inside chunk b'IDAT'"),
        (encode_png(pixels(np.uint8, 3)).replace(b"IDAT", b"IDAT\x00", 1), "checksum of chunk b'IDAT'"),
        (opencv_file(".bmp", pixels(np.uint8, 3))[:-1], "bytes"),
        (opencv_file(".webp", pixels(np.uint8, 3))[:-1], "bytes"),
        (tiff(pixels(np.uint8, 3), {})[:-3], "beyond the end"),
        (tiff(pixels(np.uint8, 3), {273: 5_000}), "cut off"),
        (tiff(pixels(np.uint8, 3), {257: HEIGHT + 1}), "bytes of pixels"),
    ],
    ids=["jpeg", "png end", "png chunk", "png sum", "bmp", "webp", "tiff tags", "tiff strip", "tiff rows"],
)
def test_the_containers_own_check_says_what_is_missing(data: bytes, said: str) -> None:
    """Found before the pixels are decoded, so it does not depend on how lenient a decoder's version is."""
    with pytest.raises(ImageError, match=said):
        decode_image(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tiff(np.ones((4, 4), np.float32), {339: 3}), "floating-point"),
        (tiff(np.ones((4, 4), np.uint32), {}), "32"),
        (tiff(np.ones((4, 4), np.int16), {339: 2}), "signed"),
        (tiff(pixels(np.uint8, 3), {284: 2}), "planes"),
        (tiff(pixels(np.uint8, 3), {259: 7}), "compression 7"),
        (tiff(pixels(np.uint8, 1), {262: 0}), "photometric"),
        (tiff(pixels(np.uint8, 3), {262: 5}), "CMYK"),
        (tiff(pixels(np.uint16, 2), {338: 2}), "16 bits"),
    ],
    ids=["float", "32 bit", "signed", "planar", "jpeg in tiff", "white is zero", "cmyk", "16-bit grey with alpha"],
)
def test_kinds_of_tiff_that_would_be_altered_are_refused(data: bytes, said: str) -> None:
    """Refused by name instead of converted silently, with the kind that can be inspected."""
    with pytest.raises(ImageError, match=said) as caught:
        decode_image(data)
    assert "grey or RGB" in caught.value.action


def test_several_pages_are_refused() -> None:
    """Looking at the first page only would leave the others uninspected."""
    one = tiff(pixels(np.uint8, 1), {})
    (directory,) = struct.unpack_from("<I", one, 4)
    two = one[:-4] + struct.pack("<I", directory)  # the next page is the same directory again
    with pytest.raises(ImageError, match="pages"):
        decode_image(two)


def test_cmyk_and_animation_are_refused() -> None:
    """No defined way to one RGB frame."""
    cmyk = simplejpeg.encode_jpeg(np.zeros((8, 8, 4), np.uint8), colorspace="CMYK", colorsubsampling="444")
    with pytest.raises(ImageError, match=r"CMYK|YCCK"):
        decode_image(cmyk)
    still = encode_png(pixels(np.uint8, 3))
    with pytest.raises(ImageError, match="animation"):
        decode_image(still[:33] + png_chunk(b"acTL", struct.pack(">II", 2, 0)) + still[33:])
