"""Files are decoded as their formats say, or refused: depths, keys, checksums, missing rows."""

import errno
import io
import logging
import os
import re
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
import slow_png
import tifffile
from PIL import Image

from fastkq.files import checksums, decode, depths
from fastkq.files.mark import is_own_output
from fastkq.files.read import count_pixels, is_image, read_image, read_weights
from fastkq.files.source import open_source

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (9, 11, 4), dtype=np.uint16)
DEEP[0, :9, 0] = [0, 127, 128, 129, 257, 385, 386, 65406, 65407]
ORIENTATION_TAG = 0x0112


def rounded(levels):
    """16-bit levels as 8-bit ones: the nearest."""
    return np.floor(np.asarray(levels, float) / 257 + 0.5).astype(np.uint8)


def squeezed(image):
    """Without what `read_image` drops: opaque alpha, the one channel of gray."""
    channels = image.shape[2]
    if channels in (2, 4) and (image[..., -1] == 255).all():
        image = image[..., :-1]
    return image[..., 0] if image.shape[2] == 1 else image


def test_joined_bytes_are_every_level_rounded():
    levels = np.arange(65536).reshape(256, 256)
    joined = depths.join_bytes((levels >> 8).astype(np.uint8), (levels & 255).astype(np.uint8))
    assert np.array_equal(joined, rounded(levels))
    assert np.array_equal(depths.round_levels(levels), rounded(levels))


@pytest.mark.parametrize(("channels", "color_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_png_of_16_bits_is_rounded(channels, color_type):
    levels = DEEP[..., :channels]
    data = slow_png.write_png(levels, 16, color_type)
    assert np.array_equal(read_image(data).array, squeezed(rounded(levels)))
    assert np.array_equal(slow_png.read_png(data), rounded(levels))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_color_keys_are_kept_at_every_depth(depth, channels):
    if channels == 3 and depth < 8:
        depth = 8
    levels = RNG.integers(0, 1 << depth, (9, 11, channels))
    levels[4, 5] = levels[0, 0]
    levels[0, 1] = levels[0, 0]
    levels[0, 1, 0] ^= 1  # nearly the key
    key = [int(level) for level in levels[0, 0]]
    data = slow_png.write_png(levels, depth, 0 if channels == 1 else 2, key=key)
    array = read_image(data).array
    assert np.array_equal(array, slow_png.read_png(data))
    assert array[0, :2, -1].tolist() == [0, 255]
    assert np.array_equal(array[..., -1] == 0, (levels == key).all(axis=2))


def test_only_the_bits_of_the_depth_count_in_a_key():
    data = slow_png.write_png(np.array([[[1], [2]]]), 2, 0, key=[0xFF02])
    assert read_image(data).array.tolist() == [[[85, 255], [170, 0]]]


def test_a_key_that_no_pixel_has_is_no_alpha():
    for levels, depth in ((np.array([[[3], [2]]]), 4), (np.array([[[300], [2]]]), 16)):
        assert read_image(slow_png.write_png(levels, depth, 0, key=[44])).array.ndim == 2


def test_all_of_pngsuite(shared_photos):
    """Each valid file is what the specification says; each damaged one is an error."""
    n_deep = 0
    for path in sorted((shared_photos / "pngsuite").glob("*.png")):
        if path.name.startswith("x"):
            with pytest.raises(ValueError, match=f"{path.name}: (cannot be decoded|is no image)"):
                read_image(path)
            continue
        expected = slow_png.read_png(path.read_bytes())
        n_deep += "16" in path.name
        assert np.array_equal(read_image(path).array, squeezed(expected)), path.name
    assert n_deep > 20


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("key", [None, [int(level) for level in DEEP[2, 3, :3]]])
def test_deep_pictures_are_turned_upright(orientation, key):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = slow_png.write_png(DEEP[..., :3], 16, 2, key=key)
    data = data[:33] + slow_png.chunk(b"eXIf", exif.tobytes()[6:]) + data[33:]
    plain = Image.fromarray(squeezed(slow_png.read_png(data)))
    plain.getexif()[ORIENTATION_TAG] = orientation
    assert np.array_equal(read_image(data).array, read_image(plain).array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_is_turned_upright(orientation):
    tags = [(ORIENTATION_TAG, 3, 1, orientation, False)]
    plain = read_image(tiff(rounded(DEEP[..., :3]), extratags=tags)).array
    assert np.array_equal(read_image(tiff(DEEP[..., :3], extratags=tags)).array, plain)
    assert plain.shape[0] == (9 if orientation <= 4 else 11)


def tiff(image, **options):
    buffer = io.BytesIO()
    options.setdefault("photometric", "rgb" if image.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, image, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"rowsperstrip": 2}])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiff_of_16_bits_is_rounded(byteorder, compression, layout, channels):
    options = {"byteorder": byteorder, "compression": compression, **layout}
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    data = tiff(DEEP[..., :channels], **options)
    assert np.array_equal(read_image(data).array, rounded(DEEP[..., :channels]))


def test_gray_tiff_of_16_and_12_bits():
    gray = DEEP[..., 0]
    for byteorder in "<>":
        data = tiff(gray, byteorder=byteorder)
        assert np.array_equal(read_image(data).array, rounded(gray))
    assert np.array_equal(
        read_image(tiff(gray, photometric="miniswhite")).array, 255 - rounded(gray)
    )
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    expected = np.floor(levels / 4095 * 255 + 0.5)
    assert np.array_equal(read_image(tiff(levels, bitspersample=12)).array, expected)


def test_other_channels_of_16_bits():
    unknown = tiff(DEEP, extrasamples=["unspecified"])
    assert np.array_equal(read_image(unknown).array, rounded(DEEP[..., :3]))
    alpha = np.maximum(DEEP[..., 3:], 1)
    premultiplied = np.dstack([np.minimum(DEEP[..., :3], alpha), alpha])
    array = read_image(tiff(premultiplied, extrasamples=["assocalpha"])).array
    straight = np.floor(premultiplied[..., :3] / alpha.astype(float) * 255 + 0.5)
    assert np.array_equal(array, np.dstack([straight, rounded(alpha)]))
    cmyk = Image.frombytes("CMYK", (11, 9), rounded(DEEP).tobytes())
    array = read_image(tiff(DEEP, photometric="separated")).array
    assert np.array_equal(array, np.asarray(cmyk.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.array([[0, 65536, 70000]], np.int32), {}, "signed integer pixels of 32 bits"),
        (np.array([[-1, 0, 5]], np.int32), {}, "signed integer pixels of 32 bits"),
        (np.array([[-1, 0, 5]], np.int16), {}, "signed integer pixels of 16 bits"),
        (np.array([[-1, 0, 5]], np.int8), {}, "signed integer pixels of 8 bits"),
        (np.array([[0, 1 << 31]], np.uint32), {}, "unsigned integer pixels of 32 bits"),
        (np.array([[0.5, 1]], np.float32), {}, "floating-point pixels of 32 bits"),
        (
            np.moveaxis(DEEP[..., :3], 2, 0).copy(),
            {"planarconfig": "separate"},
            "16 bits a channel in separate planes",
        ),
        (
            np.moveaxis(DEEP[..., :3], 2, 0).copy(),
            {"planarconfig": "separate", "compression": "lzw"},
            "16 bits a channel in separate planes",
        ),
    ],
)
def test_tiff_that_would_come_out_wrong_is_refused(image, options, words):
    with pytest.raises(ValueError, match=f"<bytes>: has {words}.* allowed$"):
        read_image(tiff(image, **({"photometric": "rgb"} if options else {}), **options))


def test_planes_of_8_bits_are_read():
    image = rounded(DEEP[..., :3])
    data = tiff(np.moveaxis(image, 2, 0).copy(), planarconfig="separate", photometric="rgb")
    assert np.array_equal(read_image(data).array, image)


def test_integers_of_a_pil_image_may_have_16_bits():
    assert read_image(Image.fromarray(np.array([[0, 65535]], np.int32))).array.tolist() == [
        [0, 255]
    ]
    for values in ([[-1, 5]], [[0, 65536]]):
        with pytest.raises(ValueError, match=r"image: has integer pixels from -?\d+ to \d+; 0 to"):
            read_image(Image.fromarray(np.array(values, np.int32)))


def flip(data, kind, offset):
    """A PNG with one bit turned in the body of a chunk."""
    changed = bytearray(data)
    changed[data.index(kind) + 4 + offset] ^= 1
    return bytes(changed)


def noise_png(color_type=2, channels=3, depth=8):
    levels = RNG.integers(0, 1 << depth, (20, 30, channels))
    return slow_png.write_png(levels, depth, color_type)


@pytest.mark.parametrize(("kind", "offset"), [(b"IHDR", 3), (b"IDAT", 40), (b"IDAT", -1 - 4)])
def test_a_wrong_checksum_is_an_error(kind, offset):
    with pytest.raises(ValueError, match=r"cannot be decoded: (the checksum of its|the file)"):
        read_image(flip(noise_png(), kind, offset))


def test_a_stored_checksum_that_is_wrong_is_an_error():
    data = bytearray(noise_png())
    data[data.index(b"IEND") - 5] ^= 1  # the last byte of the checksum of IDAT
    with pytest.raises(ValueError, match="the checksum of its IDAT chunk at byte 33 is"):
        read_image(bytes(data))


# Pillow itself finds out where less than a row is missing.
MISSING = r"(the file has \d+ bytes of pixels; \d+ x \d+ of them need \d+|image file is truncated)"


def shorten(data, n_bytes):
    """A PNG whose IDAT ends so many bytes of rows early, with right checksums."""
    found = slow_png.chunks_of(data)
    rows = zlib.decompress(found[b"IDAT"])[:-n_bytes]
    chunks = [slow_png.chunk(kind, body) for kind, body in found.items() if kind != b"IDAT"]
    chunks.insert(-1, slow_png.chunk(b"IDAT", zlib.compress(rows)))
    return slow_png.SIGNATURE + b"".join(chunks)


@pytest.mark.parametrize(
    ("depth", "color_type", "channels"),
    [(8, 2, 3), (1, 0, 1), (8, 0, 1), (16, 0, 1), (8, 4, 2), (16, 2, 3), (16, 4, 2), (8, 6, 4)],
)
@pytest.mark.parametrize("share", [0, 0.5])
def test_missing_rows_are_an_error(depth, color_type, channels, share):
    data = noise_png(color_type, channels, depth)
    n_bytes = len(zlib.decompress(slow_png.chunks_of(data)[b"IDAT"]))
    short = shorten(data, max(1, int(share * n_bytes)))
    with pytest.raises(ValueError, match=MISSING):
        read_image(short)


@pytest.mark.parametrize("interlace", [False, True])
def test_missing_rows_of_indexed_and_interlaced(shared_photos, interlace):
    names = ["basi3p04", "basi2c08", "basi6a16"] if interlace else ["basn3p04", "basn3p08"]
    for name in names:
        data = (shared_photos / "pngsuite" / f"{name}.png").read_bytes()
        with pytest.raises(ValueError, match=MISSING):
            read_image(shorten(data, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_missing_rows_of_a_turned_image(orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = noise_png()
    data = data[:33] + slow_png.chunk(b"eXIf", exif.tobytes()[6:]) + data[33:]
    assert read_image(data).array.shape[0] == (20 if orientation <= 4 else 30)
    with pytest.raises(ValueError, match=MISSING):
        read_image(shorten(data, 200))


def test_more_pixels_than_the_file_can_hold_are_not_made_room_for():
    """It took 20 s to find out."""
    body = struct.pack(">IIBBBBB", 50, 3_145_768, 16, 2, 0, 0, 0)
    data = noise_png()
    data = slow_png.SIGNATURE + slow_png.chunk(b"IHDR", body) + data[33:]
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"has \d+ bytes of deflated pixels; 50 x 3145768 of them"):
        read_image(data)
    assert time.perf_counter() - start < 1


def test_an_image_that_is_deflated_as_far_as_can_be_is_read():
    header = struct.pack(">IIBBBBB", 4000, 3000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(3000 * (1 + 4000)))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    data = slow_png.SIGNATURE + b"".join(slow_png.chunk(*each) for each in chunks)
    assert not read_image(data).array.any()


def test_missing_rows_have_the_first_color_of_a_palette():
    """Here no row is black; and rows that are all of that color are no error."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.full((20, 30), 0, np.uint8)).copy()
    image.putpalette([9, 8, 7, 200, 0, 0])
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    assert (read_image(data).array == [9, 8, 7]).all()
    with pytest.raises(ValueError, match=MISSING):
        read_image(shorten(data, 60))


def test_rows_that_are_there_and_black_are_no_error():
    for color_type, channels in ((0, 1), (2, 3), (6, 4)):
        levels = np.zeros((20, 30, channels), int)
        assert not read_image(slow_png.write_png(levels, 8, color_type)).array.any()


def test_the_bytes_of_rows_are_those_of_real_files(shared_photos):
    for path in (shared_photos / "pngsuite").glob("[a-w]*.png"):
        data = path.read_bytes()
        rows = zlib.decompress(slow_png.chunks_of(data)[b"IDAT"])
        assert checksums.check_png(data).n_row_bytes == len(rows), path.name


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((3, 3, 8, 1), "the header says color type 1 of 8 bits"),
        ((3, 3, 4, 2), "the header says color type 2 of 4 bits"),
        ((0, 3, 8, 2), "the header"),
    ],
)
def test_headers_that_are_none(header, words):
    body = struct.pack(">IIBBBBB", *header, 0, 0, 0)
    data = slow_png.SIGNATURE + slow_png.chunk(b"IHDR", body) + slow_png.chunk(b"IDAT", b"0")
    with pytest.raises(ValueError, match=f"<bytes>: cannot be decoded: {words}"):
        read_image(data + slow_png.chunk(b"IEND", b""))


def test_a_png_without_pixels():
    for data, kind in ((noise_png()[:33], "IDAT"), (slow_png.SIGNATURE, "IHDR")):
        with pytest.raises(ValueError, match=f"cannot be decoded: the file has no {kind} chunk"):
            read_image(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_a_file_is_an_error(kind, share):
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, kind)
    data = buffer.getvalue()
    with pytest.raises(ValueError, match=r"^<bytes>: cannot be decoded: [^\n]+$") as caught:
        read_image(data[: int(share * len(data))])
    for words in ("given uri", "unknown error", "NoneType", "this driver"):
        assert words not in str(caught.value)


@pytest.mark.parametrize("name", ["imageio:chelsea.png", "http:x.png", "file:x.png", "a%20b?.png"])
def test_names_are_never_addresses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.socket.connect", None)
    with open(name, "wb") as file:
        file.write(noise_png())
    assert read_image(name).array.shape == (20, 30, 3)


READ_ALL = """
import sys, logging, time
from fastkq.files.mark import is_own_output
from fastkq.files.read import count_pixels, is_image, read_image
from fastkq.files.source import open_source
for path in sys.argv[1:]:
    start = time.perf_counter()
    try:
        print("image", read_image(path).array.shape)
    except (ValueError, OSError) as error:
        print("error", error)
    print(time.perf_counter() - start)
logging.getLogger("PIL.TiffImagePlugin").warning("a log line")
"""


def read_all(paths):
    """The outcome of reading each file, and the seconds it took; nothing else may be printed."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ALL, *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert len(lines) == 2 * len(paths)
    return lines[::2], [float(line) for line in lines[1::2]]


def test_no_library_writes_beside_the_error(tmp_path):
    """Pillow and tifffile log warnings, which Python prints where nobody asks for them."""
    data = bytearray(tiff(rounded(DEEP[..., :3])))
    data[8:12] = b"\xff\xff\xff\xff"
    (tmp_path / "a.tif").write_bytes(data)
    ((outcome,), _) = read_all([tmp_path / "a.tif"])
    assert outcome.startswith(f"error {tmp_path / 'a.tif'}: cannot be decoded: ")


@pytest.mark.skipif(sys.platform == "win32", reason="Pillow's libtiff cannot be silenced there")
def test_damaged_files_are_one_line_each(shared_photos):
    paths = sorted((shared_photos / "broken").iterdir())
    outcomes, seconds = read_all(paths)
    assert max(seconds) < 10
    for path, outcome in zip(paths, outcomes, strict=True):
        assert outcome.startswith(("image (", f"error {path}: "))
        for words in ("given uri", "unknown error", "NoneType", "this driver", "decoder error"):
            assert words not in outcome
    assert sum(outcome.startswith("image") for outcome in outcomes) < 6


def encode(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds in damaged files
@pytest.mark.parametrize(
    "data",
    [
        noise_png(),
        slow_png.write_png(DEEP[..., :3], 16, 2, key=[1, 2, 3]),
        encode("JPEG"),
        encode("GIF"),
        encode("WEBP"),
        encode("BMP"),
        tiff(DEEP[..., :3], compression="lzw"),
        tiff(rounded(DEEP), extrasamples=["unassalpha"], tile=(16, 16)),
    ],
    ids=["png", "deep png", "jpeg", "gif", "webp", "bmp", "deep tiff", "tiff"],
)
def test_changed_bytes_are_an_image_or_one_line(data):
    rng = np.random.default_rng(0)
    dtypes, errors = set(), []
    for _ in range(60):
        changed = bytearray(data)
        for place in (len(data) * rng.random(rng.integers(1, 4)) ** 2).astype(int):
            changed[place] = rng.integers(256)
        try:
            dtypes.add(read_image(bytes(changed)).array.dtype.name)
        except ValueError as error:
            errors.append(str(error))
    assert dtypes <= {"uint8"}
    assert errors
    assert all(re.fullmatch("<bytes>: [^\n]+", error) for error in errors)


def test_a_pipe_of_the_shell_is_read(tmp_path):
    """As in `fastkq compress <(command)`."""
    data, (end, start) = noise_png(), os.pipe()
    with os.fdopen(start, "wb") as pipe:
        pipe.write(data)
    try:
        source = open_source(f"/dev/fd/{end}")
    finally:
        os.close(end)
    assert np.array_equal(source.array, read_image(data).array)
    assert (source.name, source.n_bytes) == (f"/dev/fd/{end}", len(data))


def test_what_is_no_file_is_not_opened(tmp_path):
    """Opening a pipe without a writer would wait for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    assert not is_own_output(tmp_path / "pipe.png")
    assert not is_own_output(tmp_path)
    for read in (read_image, open_source, is_image):
        for path, words in ((tmp_path / "pipe.png", "not a regular file"), (tmp_path, "a dir")):
            with pytest.raises(IsADirectoryError, match=f"is {words}.*; an image file is allowed"):
                read(path)
        with pytest.raises(FileNotFoundError, match="none: no such file") as caught:
            read(tmp_path / "none")
        assert caught.value.errno == errno.ENOENT
    assert count_pixels(str(tmp_path / "pipe.png")) == 0


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x")

    (tmp_path / "a.png").write_bytes(noise_png())
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError) as caught:
        read_image(tmp_path / "a.png")
    assert str(caught.value) == f"{tmp_path / 'a.png'}: cannot be opened: Permission denied"
    assert caught.value.errno == errno.EACCES


def test_weights_are_opaque(tmp_path):
    Image.fromarray(np.array([[[7, 255], [3, 9]]], np.uint8)).save(tmp_path / "la.png")
    with pytest.raises(ValueError, match=r"la\.png: has transparent pixels; an opaque gray image"):
        read_weights(tmp_path / "la.png")
    Image.fromarray(np.array([[7, 3]], np.uint8)).save(tmp_path / "gray.png")
    assert read_weights(tmp_path / "gray.png").tolist() == [[7, 3]]


def test_logging_that_is_asked_for_stays(caplog):
    read_image(noise_png())
    with caplog.at_level(logging.WARNING):
        logging.getLogger("PIL").warning("asked for")
    assert caplog.messages == ["asked for"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1031, 1021), (3, 400_000), (400_000, 3)])
def test_pixels_of_large_images_are_copied_by_strips(mode, size, monkeypatch):
    """As Pillow copies them, and turned upright as those of others."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], len(mode)), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", exif=exif)
    copied = []
    original = decode._copy_pixels
    monkeypatch.setattr(decode, "_copy_pixels", lambda image: copied.append(1) or original(image))
    found = read_image(file.getvalue()).array
    assert copied == [1]
    assert np.array_equal(found, np.rot90(pixels, -1))
