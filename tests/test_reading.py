"""What files may ask for: pixels, unpacked chunks, and data that is not there."""

import io
import struct
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile

import fastkq
from fastkq.files import reading
from fastkq.files.read import read_image
from fastkq.files.source import open_source

SIDE = 40
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")


def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def encode(kind, image=None, **options):
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_png(width, height, *chunks, depth=1, color_type=0):
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_more_pixels_than_allowed_are_refused_by_every_reader(kind, tmp_path):
    path, data = tmp_path / f"a.{kind.lower()}", encode(kind)
    path.write_bytes(data)
    words = f"its header says 40 x 40 pixels, 1600; max_pixels allows {SIDE**2 - 1}$"
    for source in (path, str(path), data, io.BytesIO(data)):
        with pytest.raises(fastkq.ImageReadError, match=words):
            fastkq.quantize(source, max_pixels=SIDE**2 - 1)
    with pytest.raises(fastkq.ImageReadError, match=words):
        fastkq.compress(path, tmp_path / "b.png", max_pixels=SIDE**2 - 1)
    with pytest.raises(fastkq.ImageReadError, match=words):
        fastkq.color_histogram(path, max_pixels=SIDE**2 - 1)
    (result,) = fastkq.compress_many([path], tmp_path / "out", max_pixels=SIDE**2 - 1)
    assert result.status == "failed"
    assert result.error.startswith(str(path))
    assert fastkq.quantize(path, max_pixels=SIDE**2).labels.shape == (SIDE, SIDE)


def test_arrays_and_pil_images_are_in_memory_already():
    assert fastkq.quantize(picture(), max_pixels=1).labels.size == SIDE**2
    assert fastkq.quantize(np.asarray(picture()), max_pixels=1).labels.size == SIDE**2


def test_a_tiff_that_comes_by_blocks_is_refused_by_its_header(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((300, 200), np.uint8), tile=(64, 64))
    options = fastkq.files.reading.ReadOptions(max_pixels=59_999)
    with pytest.raises(fastkq.ImageReadError, match=r"200 x 300 pixels, 60000; .* allows 59999"):
        open_source(path, options, large_pixels=1000)
    assert open_source(path, large_pixels=1000).array is None


@pytest.mark.parametrize("side", [131_072, 65_536])
def test_a_sparse_tiff_of_many_gigapixels_is_refused_at_once(side, tmp_path):
    path = tmp_path / "bomb.tif"
    n_tiles = (side // 4096) ** 2
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            (b"" for _ in range(n_tiles)),
            shape=(side, side),
            dtype=np.uint8,
            tile=(4096, 4096),
            compression="zlib",
        )
    with path.open("ab") as file:
        file.truncate(70_000)
    start = time.perf_counter()
    with pytest.raises(fastkq.ImageReadError, match=rf"{side} x {side} pixels.*allows 2147483648"):
        fastkq.compress(path, tmp_path / "out.png")
    assert time.perf_counter() - start < 10


def test_four_gigapixels_in_half_a_megabyte_are_refused():
    data = make_png(65_536, 65_536, chunk(b"IDAT", bytes(540_000)))
    tracemalloc.start()
    with pytest.raises(fastkq.ImageReadError, match=r"65536 x 65536 pixels, .*allows 178956970"):
        read_image(data)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_chunks_that_unpack_to_much_are_not_unpacked(kind):
    packed = zlib.compress(bytes(50 << 20), 6)
    start = {b"iCCP": b"p\0\0", b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0"}[kind]
    rows = chunk(b"IDAT", zlib.compress(bytes(2 * 9)))
    data = make_png(8, 9, chunk(kind, start + packed), rows)
    tracemalloc.start()
    try:
        array = read_image(data).array
    except fastkq.ImageReadError as error:
        assert "too large" in str(error)  # noqa: PT017 - an image without the text is as good
    else:
        assert array.shape == (9, 8)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_pillows_own_limit_does_not_count_and_stays(monkeypatch):
    data = encode("PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(data).array.shape == (SIDE, SIDE, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
def test_a_file_that_ends_early_is_read_if_that_is_allowed(kind, tmp_path):
    image = picture().resize((400, 400))
    options = {"TIFF": {"compression": "tiff_lzw"}, "GIF": {"interlace": 0}}
    data = encode(kind, image, **options.get(kind, {}))
    expected = read_image(data).array
    half = data[: len(data) // 2]
    with pytest.raises(fastkq.ImageReadError, match="cannot be decoded"):
        fastkq.quantize(half)
    if kind == "TIFF":  # whose directory is at the end
        return
    array = read_image(half, reading.ReadOptions(allow_truncated=True)).array
    assert array.shape == expected.shape
    equal = (array == expected).all(axis=(1, 2))
    assert equal[:100].all() or (kind == "BMP" and equal[-100:].all())
    assert not equal.all()
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert fastkq.quantize(half, 9, allow_truncated=True).labels.shape == (400, 400)


def test_a_pil_image_of_a_damaged_file_is_an_error_of_that_kind():
    data = encode("JPEG", picture().resize((300, 300)))
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as image,
        pytest.raises(fastkq.ImageReadError, match=r"^image: cannot be decoded: .*truncated"),
    ):
        fastkq.quantize(image)


def test_a_webp_may_have_more_than_pillow_allows(monkeypatch):
    data = encode("WEBP")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(fastkq.ImageReadError, match="exceeds limit of 200 pixels"):
        read_image(data)
    array = read_image(data, reading.ReadOptions(max_pixels=2000)).array
    assert array.shape == (SIDE, SIDE, 3)


def test_a_wrong_checksum_is_an_error_even_then():
    data = bytearray(encode("PNG"))
    data[-20] ^= 1
    with pytest.raises(fastkq.ImageReadError, match="checksum"):
        fastkq.quantize(bytes(data), allow_truncated=True)


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 4}, {"subsampling": 0}])
def test_a_jpeg_whose_last_rows_would_be_gray_is_an_error(options):
    """Its end is there: no decoder raises, and libjpeg fills with gray what is missing."""
    data = encode("JPEG", picture().resize((200, 160)), **options)
    for cut in (0.5, 0.7, 0.9):
        short = data[: int(len(data) * cut)] + b"\xff\xd9"
        with Image.open(io.BytesIO(short)) as image:
            assert (np.asarray(image)[-8:, -8:] == 128).all()
        with pytest.raises(fastkq.ImageReadError, match="the data of the pixels ends early"):
            read_image(short)
        read_image(short, reading.ReadOptions(allow_truncated=True))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_progressive_jpeg_without_its_last_scans_is_an_error(mode):
    image = picture().resize((200, 160)).convert(mode)
    data = encode("JPEG", image, progressive=True)
    assert read_image(data).array.shape[:2] == (160, 200)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 4
    for end in (scans[-1], scans[3]):
        with pytest.raises(fastkq.ImageReadError, match=r"ends early: the last scans of \d of"):
            read_image(data[:end] + b"\xff\xd9")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_that_is_gray_is_no_error(mode):
    gray = Image.new("RGB", (50, 70), (128, 128, 128)).convert(mode)
    assert (read_image(encode("JPEG", gray)).array == 128).all()


def test_the_error_is_of_both_kinds_that_were_raised_before():
    for kind in (OSError, ValueError, fastkq.ImageReadError):
        with pytest.raises(kind, match=r"^<bytes>: is no image of a known format"):
            fastkq.quantize(b"no picture at all")
    with pytest.raises(FileNotFoundError, match=r"^missing\.png: no such file$"):
        fastkq.quantize("missing.png")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"max_pixels": 0}, ValueError, "max_pixels is 0; an integer >= 1 is allowed"),
        ({"max_pixels": 1.5}, TypeError, "max_pixels is 1.5"),
        ({"allow_truncated": 1}, TypeError, "allow_truncated is 1"),
    ],
)
def test_wrong_options(options, kind, words):
    with pytest.raises(kind, match=words):
        fastkq.quantize(picture(), **options)
