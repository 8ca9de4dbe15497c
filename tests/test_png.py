"""The PNG writer, read back by Pillow, by pngcheck and by a parser of its own."""

import io
import shutil
import struct
import subprocess
import zlib

import naive
import numpy as np
import pytest
from PIL import Image, ImageCms

from fastkq.files.attached import Attached
from fastkq.files.mark import is_own_output
from fastkq.files.png import bits_per_index, encode_indexed_png


def parse(data):
    """Return the chunks of a PNG file as (kind, contents), their CRCs checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = [], 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        contents = data[position + 8 : position + 8 + length]
        (crc,) = struct.unpack_from(">I", data, position + 8 + length)
        assert crc == zlib.crc32(kind + contents)
        chunks.append((kind, contents))
        position += 12 + length
    return chunks


def picture(height, width, n_colors):
    rng = np.random.default_rng(n_colors * 1000 + width)
    labels = rng.integers(0, n_colors, (height, width), dtype=np.uint8)
    palette = rng.permutation(256)[:n_colors, None] * np.array([1, 0, 0])
    palette[:, 1:] = rng.integers(0, 256, (n_colors, 2))
    return labels, palette.astype(np.uint8)


@pytest.mark.parametrize(
    ("n_colors", "bits"),
    [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (15, 4), (16, 4), (17, 8), (255, 8), (256, 8)],
)
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
def test_pillow_reads_the_same_indices(n_colors, bits, width):
    labels, palette = picture(3, width, n_colors)
    data = encode_indexed_png(labels, palette)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), labels)
        assert np.array_equal(np.asarray(image.convert("RGB")), palette[labels])
        assert image.getpalette()[: 3 * n_colors] == palette.ravel().tolist()
    chunks = parse(data)
    assert [kind for kind, _ in chunks] == [b"IHDR", b"tEXt", b"PLTE", b"IDAT", b"IEND"]
    assert chunks[0][1] == struct.pack(">IIBBBBB", width, 3, bits, 3, 0, 0, 0)
    assert bits_per_index(n_colors) == bits
    assert zlib.decompress(chunks[3][1]) == naive.pack_rows(labels, bits).tobytes()


def test_own_output_is_told_from_other_files(tmp_path):
    own, cut, other = (tmp_path / name for name in ("own.png", "cut.png", "other.png"))
    labels, palette = picture(3, 4, 5)
    own.write_bytes(encode_indexed_png(labels, palette))
    cut.write_bytes(own.read_bytes()[:40])
    Image.fromarray(palette[labels]).save(other)
    assert [is_own_output(path) for path in (own, cut, other, tmp_path / "none.png")] == [
        True,
        False,
        False,
        False,
    ]
    with Image.open(own) as image:
        assert image.text == {"Software": "fastkq"}


def test_a_color_profile_comes_before_the_palette():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode_indexed_png(*picture(2, 2, 4), attached=Attached(profile))
    kinds = [kind for kind, _ in parse(data)]
    assert kinds == [b"IHDR", b"tEXt", b"iCCP", b"PLTE", b"IDAT", b"IEND"]
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("n_colors", [2, 4, 16, 200])
def test_pngcheck_finds_no_fault(tmp_path, n_colors):
    pngcheck = shutil.which("pngcheck")
    if pngcheck is None:
        pytest.skip("pngcheck is not installed")
    path = tmp_path / "picture.png"
    path.write_bytes(encode_indexed_png(*picture(31, 33, n_colors)))
    run = subprocess.run([pngcheck, "-v", path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert "No errors detected" in run.stdout
